/** What becomes of Events that an API server does not take. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { createRecorder } from '../../../operator/kubernetes/recorder.ts'
import { createTransport } from '../../../operator/kubernetes/transport.ts'
import { systemClock } from '../../../process/clock.ts'
import { fixedSource } from '../credentials.ts'

test('what an API server does not take is given up in time, and counted, also while there is more urgent work', async (t) => {
  const sockets: Socket[] = []
  const silent = createServer((socket) => void sockets.push(socket.on('error', () => undefined).resume())).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
  const server = `https://127.0.0.1:${(silent.address() as AddressInfo).port}`
  const transport = createTransport(fixedSource({ server, headers: {}, tls: {} }))
  t.after(() => transport.close())

  for (const busy of [false, true]) {
    const failures: unknown[] = []
    const recorder = createRecorder({
      transport,
      clock: systemClock,
      controller: 'test',
      instance: 'test-0',
      busy: () => busy,
      onFailure: (error) => failures.push(error),
    })
    for (let n = 0; n < 50; n++) {
      const metadata = { name: `n${n}`, namespace: 'default', uid: `u-${n}` }
      const event = { type: 'Normal', reason: 'Ready', action: 'Report', note: 'it is ready' } as const
      recorder.record({ apiVersion: 'v1', kind: 'ConfigMap', metadata }, event)
    }
    // Sooner than a request is given up (30 s), or a wait for urgent work (10 s).
    const started = performance.now()
    assert.equal(await recorder.close(AbortSignal.timeout(200)), 50)
    assert.ok(performance.now() - started < 8_000)
    assert.deepEqual(failures, [], 'one line in the log is enough for all of them, and the caller of close() writes it')
  }
})
