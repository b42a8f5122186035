/**
 * A real Prometheus that scrapes a real operator, a real consumer and a worker's metrics: every query of the dashboard answers
 * with something, every alert is evaluated without an error, and each alert's selectors and joins find series. That an alert
 * fires when it should, and only then, alerts.test.ts shows on series made for it.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { Redis } from 'ioredis'
import { stringify } from 'yaml'
import { filledGroups } from '../../../build/chart/alerts.ts'
import { dashboard } from '../../../build/chart/dashboard.ts'
import { createWorkerMetrics } from '../../../client/metrics.ts'
import { borrowCluster, quickstart, startOperator } from '../../operator/cluster.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { freePort } from '../../support/port.ts'
import { startCli, startProcess } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'
import { needsPrometheus, prometheus } from './chart.ts'

const name = 'ndvi'

interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [at: number, value: string]
}

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly name: string; readonly health: string; readonly lastError?: string }[]
  }[]
}

interface Prometheus {
  query(expression: string): Promise<readonly Sample[]>
  rules(): Promise<Rules>
}

async function startPrometheus(t: TestContext, targets: readonly { pod: string; port: number }[]): Promise<Prometheus> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-prometheus-'))
  t.after(async () => await rm(folder, { recursive: true, force: true }))
  const config = {
    global: { scrape_interval: '500ms', scrape_timeout: '500ms', evaluation_interval: '1s' },
    rule_files: ['alerts.yaml'],
    scrape_configs: [
      {
        job_name: 'all',
        honor_labels: true,
        static_configs: targets.map(({ pod, port }) => ({ targets: [`127.0.0.1:${port}`], labels: { pod } })),
      },
    ],
  }
  const rules = stringify({ groups: filledGroups() })
  await writeFile(join(folder, 'alerts.yaml'), rules)
  await writeFile(join(folder, 'prometheus.yaml'), stringify(config))
  const port = await freePort()
  const args = ['--config.file=prometheus.yaml', `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`]
  await startProcess(t, args, { command: prometheus ?? 'prometheus', cwd: folder })
  const ask = async <T>(path: string): Promise<T> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)
    const answer = (await response.json()) as { status: string; error?: string; data: T }
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`)
    return answer.data
  }
  return {
    query: async (expression) =>
      (await ask<{ result: readonly Sample[] }>(`query?query=${encodeURIComponent(expression)}`)).result,
    rules: async () => await ask<Rules>('rules'),
  }
}

/** Each comparison with a number, changed so that it holds. Only selectors and joins can then fail. */
const relaxed = (expression: string): string =>
  expression.replaceAll(/ >=? (max by)/g, ' + $1').replaceAll(/(?:[<>]=?|==) ?[0-9.]+(?! \*)/g, '> -1e12')

const asGrafana = (expression: string): string => expression.replaceAll(/\$(?:namespace|pipeline)\b/g, '.*')

const skip = needsPrometheus.skip || needsApiServer.skip

test('a real Prometheus answers every query of the dashboard and evaluates every alert', {
  skip,
  timeout: 400_000,
}, async (t) => {
  const [server, cluster] = await Promise.all([startRedis(t), borrowCluster(t)])
  const redis = new Redis(server.port)
  t.after(() => redis.disconnect())
  const resource = await quickstart(name, 'default', { redis: { url: `redis://127.0.0.1:${server.port}/0` } })
  await cluster.apply(resource)
  const operator = await startOperator(t, cluster)

  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-queries-'))
  t.after(async () => await rm(folder, { recursive: true, force: true }))
  const config = join(folder, 'pipeline.yaml')
  await writeFile(config, stringify(resource))
  const consumerPort = await freePort()
  await startCli(t, ['consume', '--config', config, '--name', 'ndvi-consumer-1', '--listen', `127.0.0.1:${consumerPort}`])

  const worker = createWorkerMetrics({ queue: name })
  await worker.upstream('imagery', () => undefined)
  const workerServer = createServer((_, response) => {
    void worker.registry.metrics().then((text) => response.setHeader('content-type', worker.registry.contentType).end(text))
  })
  await new Promise<void>((resolve) => workerServer.listen(0, '127.0.0.1', () => resolve()))
  t.after(() => {
    workerServer.closeAllConnections()
    workerServer.close()
  })

  const targets = [
    { pod: 'operator-1', port: (await operator.ports).metrics },
    { pod: 'ndvi-consumer-1', port: consumerPort },
    { pod: 'worker-1', port: (workerServer.address() as AddressInfo).port },
  ]
  const { query, rules } = await startPrometheus(t, targets)
  // Entries that flow, so that rates are of something.
  const feeding = setInterval(() => {
    const fields = ['job_id', '1', 'request_hash', 'none', 'farm_id', '1', 'engine', 'unknown', 'job_type', 'ndvi_current']
    redis.xadd('ndvi:jobs', '*', ...fields).catch(() => undefined)
    void worker.upstream('imagery', () => undefined)
  }, 200)
  t.after(() => clearInterval(feeding))

  await t.test('every target is scraped', async () => {
    await eventually(async () => (await query('up == 1')).length === targets.length, { timeoutMs: 90_000, intervalMs: 250 })
  })

  for (const panel of dashboard.panels) {
    await t.test(`dashboard: ${panel.title}`, async () => {
      for (const { expr, legendFormat } of panel.targets) {
        const answer = await eventually(
          async () => {
            const samples = await query(asGrafana(expr))
            if (samples.length === 0) throw new Error(`${expr} finds nothing`)
            return samples
          },
          { timeoutMs: 60_000, intervalMs: 500 },
        )
        for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
          assert.ok(
            answer.every(({ metric }) => label in metric),
            `${expr} has no label ${label} for its legend`,
          )
      }
    })
  }

  await t.test('the dashboard’s variables have values', async () => {
    // A target that was late once has no values until it is scraped again.
    await eventually(
      async () => {
        const found = await query('count by (namespace, pipeline) (streampipeline_desired_replicas)')
        assert.deepEqual(
          found.map(({ metric }) => metric),
          [{ namespace: 'default', pipeline: name }],
        )
      },
      { timeoutMs: 60_000, intervalMs: 500 },
    )
  })

  for (const { alert, expr, annotations } of filledGroups().flatMap((group) => group.rules)) {
    // These processes have no memory limit.
    const skipped = alert === 'StreamPipelineMemoryHigh' && 'the drills give a consumer a limit'
    await t.test(`alert: ${alert} finds its series`, { skip: skipped }, async () => {
      const answer = await eventually(
        async () => {
          const samples = await query(relaxed(expr))
          if (samples.length === 0) throw new Error(`${relaxed(expr)} finds nothing`)
          return samples
        },
        { timeoutMs: 60_000, intervalMs: 500 },
      )
      for (const [, label = ''] of annotations.description.matchAll(/\$labels\.(\w+)/g))
        assert.ok(
          answer.every(({ metric }) => label in metric),
          `${alert} has no label ${label} for its description`,
        )
    })
  }

  await t.test('every rule is evaluated without an error, and none fires on a pipeline that is well', async () => {
    const count = filledGroups().flatMap((group) => group.rules).length
    await eventually(
      async () => {
        const evaluated = (await rules()).groups.flatMap((group) => group.rules)
        const wrong = evaluated
          .filter(({ health }) => health !== 'ok')
          .map((rule) => `${rule.name}: ${rule.lastError ?? rule.health}`)
        assert.deepEqual(wrong, [])
        assert.equal(evaluated.length, count)
      },
      { timeoutMs: 60_000, intervalMs: 500 },
    )
    const firing = await query('ALERTS{alertstate="firing"}')
    assert.deepEqual(
      firing.map(({ metric }) => metric['alertname']),
      [],
    )
  })
})
