/**
 * Ends all that the given pods run, on one node and at once, as when a node loses its power: no signal that could be answered, and
 * their network sandboxes with them. It asks nothing of the container runtime: a pod that sees the node's processes finds the
 * containers by the name of the pod, which each has in /etc/hostname, and kills every process under the same shims.
 */
import { apply, kubectl } from './commands.ts'
import { patience, until } from './patience.ts'

export interface NodeCrash {
  readonly node: string
  /** Names of pods on it. */
  readonly pods: readonly string[]
  /** An image with Node that the node has. */
  readonly image: string
}

const namespace = 'streampipeline-node'
const name = 'crash'

const script = `
const { readdirSync, readFileSync } = require('node:fs')
const pods = new Set(process.env.PODS.split(','))
const hostnameOf = (pid) => {
  try {
    return readFileSync(['/proc', pid, 'root/etc/hostname'].join('/'), 'utf8').trim()
  } catch (thrown) {
    // A sandbox, which has no such file; one that has ended; or one of the machine's own, not to be looked into.
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(thrown.code)) return undefined
    throw thrown
  }
}
const processes = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)).flatMap((pid) => {
  try {
    const parent = Number(readFileSync('/proc/' + pid + '/stat', 'utf8').replace(/^.*\\) . /s, '').split(' ')[0])
    return [{ pid: Number(pid), parent, pod: hostnameOf(pid) }]
  } catch (thrown) {
    // It has ended since the folder was read.
    if (['ENOENT', 'ESRCH'].includes(thrown.code)) return []
    throw thrown
  }
})
const found = processes.filter(({ pod }) => pods.has(pod))
const missing = [...pods].filter((each) => !found.some(({ pod }) => pod === each))
if (missing.length > 0) throw new Error('no process of ' + missing.join(', '))
const shims = new Set(found.map(({ parent }) => parent))
const victims = processes.filter(({ parent }) => shims.has(parent))
for (const { pid } of victims) process.kill(pid, 'SIGKILL')
console.log(JSON.stringify({ killed: victims.length, at: Date.now() }))
`

/** @returns how many processes were killed, and when, in milliseconds since 1970 */
export async function crashNode({ node, pods, image }: NodeCrash): Promise<{ readonly killed: number; readonly at: number }> {
  // Not restricted: seeing the node's processes is just what that forbids.
  const labels = { 'pod-security.kubernetes.io/enforce': 'privileged' }
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } }, namespace)
  try {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: {
        nodeName: node,
        hostPID: true,
        restartPolicy: 'Never',
        automountServiceAccountToken: false,
        containers: [
          {
            name,
            image,
            imagePullPolicy: 'IfNotPresent',
            command: ['/nodejs/bin/node', '--eval', script],
            env: [{ name: 'PODS', value: pods.join(',') }],
            securityContext: { runAsUser: 0, runAsNonRoot: false, capabilities: { add: ['KILL', 'SYS_PTRACE'] } },
            terminationMessagePolicy: 'FallbackToLogsOnError',
          },
        ],
      },
    }
    // Refused where the cluster makes its own between kubectl's look and its write: that one is found by the next try.
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } }
    await until(async () => await apply(account, namespace), 30_000)
    await apply(pod, namespace)
    const ended = [
      'wait',
      `pod/${name}`,
      `--timeout=${patience(60)}`,
      '--for=jsonpath={.status.containerStatuses[0].state.terminated}',
    ]
    await kubectl('-n', namespace, ...ended)
    const log = await kubectl('-n', namespace, 'logs', name)
    if (!log.startsWith('{')) throw new Error(`the node's containers could not be killed: ${log}`)
    return JSON.parse(log) as { killed: number; at: number }
  } finally {
    await kubectl('delete', 'namespace', namespace, '--wait=false')
  }
}
