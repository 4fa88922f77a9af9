// ioredis against remora: ready check, ordinary reads, pipelines, scripts, messages, refused writes.
// Arguments: the port of remora, the port of its master.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.PACKAGES}/`);
const { Redis } = require('ioredis');

const [port, masterPort] = process.argv.slice(2).map(Number);

const at = (port) => ({ host: '127.0.0.1', port, connectTimeout: 30_000 });

const client = new Redis({ ...at(port), connectionName: 'io', enableReadyCheck: true });
await new Promise((resolve, reject) => client.once('ready', resolve).once('error', reject));
assert.equal(await client.get('s:text'), 'hello world');
assert.equal((await client.hgetall('h:small')).f1, 'v1');
assert.equal((await client.zrange('z:many', 0, 2, 'WITHSCORES')).flat().length, 6);
const replies = await client.pipeline().strlen('s:text').get('none').hget('s:text', 'f').exec();
assert.deepEqual(replies.slice(0, 2), [[null, 11], [null, null]]);
assert.match(replies[2][0].message, /WRONGTYPE/);
assert.deepEqual(await client.multi().strlen('s:text').get('none').exec(), [[null, 11], [null, null]]);
client.defineCommand('peek', { numberOfKeys: 1, lua: "return redis.call('GET', KEYS[1])" });
assert.equal(await client.peek('s:text'), 'hello world');
const found = [];
for await (const keys of client.scanStream({ match: 'l:*' })) found.push(...keys);
assert.ok(found.includes('l:small'));
await assert.rejects(client.set('k', 'v'), /READONLY/);
console.log('reads ok');

const other = new Redis({ ...at(port), db: 15 });
assert.equal(await other.get('last'), 'db15');
const master = new Redis(at(masterPort));
await other.subscribe('news');
const heard = new Promise((resolve) => other.on('message', (_channel, message) => resolve(message)));
await master.publish('news', 'fresh');
assert.equal(await heard, 'fresh');
console.log('messages ok');
process.exit(0);
