/**
 * Ends a container's process as a crash does: at once, without a log line or a hand-back.
 *
 * `kubectl delete --force` is no crash: the kubelet sends SIGTERM first. A process that is number 1 of its namespace gets no
 * SIGKILL from inside it. But Node opens its inspector on SIGUSR1, and the inspector can make it abort, which no kernel ignores.
 * (An exit would wait for the debugger to leave.)
 */
import { execute, program } from './commands.ts'

const script = `
process.kill(1, 'SIGUSR1')
const until = Date.now() + 20000
for (;;) {
  try {
    const [target] = await (await fetch('http://127.0.0.1:9229/json')).json()
    const socket = new WebSocket(target.webSocketDebuggerUrl)
    await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject })
    socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression: 'process.abort()' } }))
    await new Promise((resolve) => { socket.onclose = resolve; socket.onerror = resolve })
    break
  } catch (error) {
    if (Date.now() > until) throw error
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
`

export async function crash(namespace: string, pod: string): Promise<void> {
  const args = ['-n', namespace, 'exec', pod, '--', '/nodejs/bin/node', '--input-type=module', '--eval', script]
  const { stderr } = await execute(program('kubectl'), args)
  // The process that asks dies with the one it asked, so kubectl's code says nothing; a refusal does.
  if (/ECONNREFUSED|EPERM|forbidden/i.test(stderr)) throw new Error(`${pod} could not be crashed: ${stderr}`)
}
