import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { consumerUid, ownerVariable } from '../../consumer/identity.ts'
import { formatIdentity, localOwner, parseIdentity } from '../../redis/stream/identity.ts'

const process = { host: 'laptop', pid: 4711, startedAt: 1_763_830_000_000.4 }
const own = 'local-laptop-4711-1763830000000'

const rows = [
  ['a pod belongs to its pipeline, and its life is the pod', 'p-uid', { POD_UID: 'pod' }, 'p-uid/pod'],
  [
    'a child of a local run belongs to that run, whatever its file says',
    'p-uid',
    { POD_UID: 'c', [ownerVariable]: 'local-x-1-2' },
    'local-x-1-2/c',
  ],
  ['a process started by hand is its own supervisor', '', {}, `${own}/4711-1763830000000`],
  ['and so it is with a file copied from a cluster', 'p-uid', {}, `${own}/4711-1763830000000`],
  ['a pod of a pipeline that no API server knows is its own supervisor', '', { POD_UID: 'pod' }, `${own}/pod`],
  ['empty variables say nothing', 'p-uid', { POD_UID: '', [ownerVariable]: '' }, `${own}/4711-1763830000000`],
] as const

for (const [sentence, pipelineUid, env, expected] of rows) {
  test(sentence, () => assert.equal(consumerUid({ pipelineUid, env, process }), expected))
}

test('identities are read back as they were written, and nothing else is taken for one', () => {
  const identity = { owner: localOwner({ ...process, host: 'a/b' }), life: 'x/y' }
  assert.deepEqual(parseIdentity(formatIdentity(identity)), identity)
  for (const foreign of ['', '/', 'a/', '/b', 'no slash']) assert.equal(parseIdentity(foreign), undefined, foreign)
})
