// node-redis against remora: ordinary reads in RESP2 and RESP3, client-side cache, pub/sub, refused writes.
// Arguments: the port of remora, the port of its master.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.PACKAGES}/`);
const { createClient } = require('redis');

const [port, masterPort] = process.argv.slice(2).map(Number);
const at = (port) => ({ host: '127.0.0.1', port, connectTimeout: 30_000 });

async function connected(settings) {
  const client = createClient({ socket: at(port), ...settings });
  client.on('error', (error) => console.error('client:', error.message));
  return client.connect();
}

async function reads(settings) {
  const client = await connected({ name: 'node', ...settings });
  assert.equal(await client.ping(), 'PONG');
  assert.equal(await client.get('s:text'), 'hello world');
  assert.equal(await client.get('none'), null);
  assert.deepEqual(await client.mGet(['s:text', 'none']), ['hello world', null]);
  assert.equal((await client.hGetAll('h:small')).f1, 'v1');
  const scores = await client.zRangeWithScores('z:many', 0, 2);
  assert.equal(scores.length, 3);
  assert.equal(typeof scores[0].score, 'number');
  assert.ok((await client.lRange('l:small', 0, -1)).length > 0);
  const found = [];
  for await (const keys of client.scanIterator({ MATCH: 'l:*', COUNT: 10 })) found.push(...[keys].flat());
  assert.ok(found.includes('l:small'));
  const several = await client.multi().strLen('s:text').get('none').exec();
  assert.deepEqual(several, [11, null]);
  assert.equal(await client.eval("return redis.call('GET', KEYS[1])", { keys: ['s:text'] }), 'hello world');
  assert.ok((await client.info('replication')).includes('role:slave'));
  await assert.rejects(client.set('k', 'v'), /READONLY/);
  await client.select(15);
  assert.equal(await client.get('last'), 'db15');
  client.destroy();
}

async function hearsTheMaster() {
  const listener = await connected({});
  const master = await createClient({ socket: at(masterPort) }).connect();
  const heard = new Promise((resolve) => listener.subscribe('news', (message) => resolve(message)));
  while ((await listener.pubSubNumSub?.('news'))?.news === 0) await new Promise((done) => setTimeout(done, 10));
  const publishing = setInterval(() => master.publish('news', 'fresh'), 20);
  assert.equal(await heard, 'fresh');
  clearInterval(publishing);
  listener.destroy();
  master.destroy();
}

async function cachesUntilTold() {
  const client = await connected({ RESP: 3, clientSideCache: { ttl: 0, maxEntries: 100 } });
  const master = await createClient({ socket: at(masterPort) }).connect();
  await master.set('cached', '1');
  while ((await client.get('cached')) !== '1') await new Promise((done) => setTimeout(done, 10));
  await master.set('cached', '2');
  while ((await client.get('cached')) !== '2') await new Promise((done) => setTimeout(done, 10));
  client.destroy();
  master.destroy();
}

await reads({ RESP: 2 });
console.log('RESP2 ok');
await reads({ RESP: 3 });
console.log('RESP3 ok');
await reads({ RESP: 2, readonly: true });
console.log('readonly ok');
await cachesUntilTold();
console.log('cache ok');
await hearsTheMaster();
console.log('messages ok');
process.exit(0);
