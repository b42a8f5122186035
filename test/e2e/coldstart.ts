/** How long a container's process takes from its start to a line of its log, by the clocks of kernel and program. */
import { kubectl } from './commands.ts'
import { until } from './patience.ts'

const script = `
const { readFileSync } = require('node:fs')
const ticks = Number(readFileSync('/proc/1/stat', 'utf8').replace(/^.*\\) /s, '').split(' ')[19])
const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
console.log(Date.now() - (uptime - ticks / 100) * 1000)
`

interface Line {
  readonly time: string
  readonly msg: string
}

/** @returns seconds; undefined where the pod has not written that line */
export async function coldStart(namespace: string, pod: string, message: string): Promise<number | undefined> {
  const lines = (await kubectl('-n', namespace, 'logs', pod)).split('\n').filter((text) => text.startsWith('{'))
  const line = lines.map((text) => JSON.parse(text) as Line).find(({ msg }) => msg === message)
  if (line === undefined) return undefined
  const startedAt = Number(
    await until(async () => await kubectl('-n', namespace, 'exec', pod, '--', '/nodejs/bin/node', '--eval', script), 30_000),
  )
  return (Date.parse(line.time) - startedAt) / 1000
}
