/** A real Prometheus over processes of a test, with targets that come and go. */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { prometheus as program } from '../scenarios/chart/chart.ts'
import { freePort } from '../support/port.ts'
import { startProcess } from '../support/process.ts'
import type { Scope } from '../support/scope.ts'

export interface Target {
  readonly port: number
  /** Labels as the Prometheus Operator gives them: job, namespace, pod. */
  readonly labels: Readonly<Record<string, string>>
}

export interface RunningPrometheus {
  /** Replaces the targets. */
  scrape(targets: readonly Target[]): Promise<void>
  /** Labels of what a query answers with. */
  query(expression: string): Promise<readonly Readonly<Record<string, string>>[]>
  /** Names of the alerts that fire. */
  firing(): Promise<ReadonlySet<string>>
}

interface Answer {
  readonly status: string
  readonly error?: string
  readonly data: { readonly result: readonly { readonly metric: Readonly<Record<string, string>> }[] }
}

/** @param rules of a PrometheusRule: its `spec` */
export async function startPrometheus(scope: Scope, rules: object): Promise<RunningPrometheus> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-drills-'))
  scope.after(async () => await rm(folder, { recursive: true, force: true }))
  const config = {
    global: { scrape_interval: '3s', scrape_timeout: '3s', evaluation_interval: '3s' },
    rule_files: ['alerts.yaml'],
    scrape_configs: [
      { job_name: 'all', honor_labels: true, file_sd_configs: [{ files: ['targets.json'], refresh_interval: '1s' }] },
    ],
  }
  let writes = 0
  const scrape = async (targets: readonly Target[]) => {
    const content = targets.map(({ port, labels }) => ({ targets: [`127.0.0.1:${port}`], labels }))
    // Pods start and end at the same time.
    const written = join(folder, `targets-${++writes}`)
    await writeFile(written, JSON.stringify(content))
    await rename(written, join(folder, 'targets.json'))
  }
  await scrape([])
  await writeFile(join(folder, 'alerts.yaml'), stringify(rules))
  await writeFile(join(folder, 'prometheus.yaml'), stringify(config))
  const port = await freePort()
  const args = ['--config.file=prometheus.yaml', `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`]
  const child = await startProcess(scope, args, { command: program ?? 'prometheus', cwd: folder })
  await child.output(/ready to receive web requests/)
  const query = async (expression: string) => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expression)}`)
    const answer = (await response.json()) as Answer
    if (answer.status !== 'success') throw new Error(`${expression}: ${answer.error}`)
    return answer.data.result.map(({ metric }) => metric)
  }
  return {
    scrape,
    query,
    firing: async () => new Set((await query('ALERTS{alertstate="firing"}')).map(({ alertname = '' }) => alertname)),
  }
}
