// valkey-glide against remora: alone as a read-only node, and as the replica beside its master.
// Arguments: the port of remora, the port of its master.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.PACKAGES}/`);
const { Batch, GlideClient, ProtocolVersion } = require('@valkey/valkey-glide');

const [port, masterPort] = process.argv.slice(2).map(Number);
const at = (port) => ({ host: '127.0.0.1', port });

async function reads(client) {
  assert.equal(await client.get('s:text'), 'hello world');
  assert.equal(await client.get('none'), null);
  const hash = await client.hgetall('h:small');
  assert.ok(hash.some(({ field, value }) => field === 'f1' && value === 'v1'));
  assert.equal((await client.zrangeWithScores('z:many', { start: 0, end: 2 })).length, 3);
  assert.deepEqual(await client.exec(new Batch(false).strlen('s:text').get('none'), true), [11, null]);
}

for (const [named, protocol] of [['RESP2', ProtocolVersion.RESP2], ['RESP3', ProtocolVersion.RESP3]]) {
  const patience = { requestTimeout: 30_000, advancedConfiguration: { connectionTimeout: 30_000 } };
  const settings = { protocol, clientName: 'glide', ...patience };
  const alone = await GlideClient.createClient({ addresses: [at(port)], readOnly: true, ...settings });
  await reads(alone);
  await assert.rejects(alone.set('k', 'v'));
  alone.close();
  const addresses = [at(masterPort), at(port)];
  const both = await GlideClient.createClient({ addresses, readFrom: 'preferReplica', ...settings });
  await reads(both);
  assert.equal(await both.set('written', named), 'OK');
  while ((await both.get('written')) !== named) await new Promise((done) => setTimeout(done, 10));
  both.close();
  console.log(`${named} ok`);
}
process.exit(0);
