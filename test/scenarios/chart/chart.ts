/** helm on the chart, as a user runs it. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { findAssets } from '../../support/assets.ts'
import { type Completed, run } from '../../support/process.ts'
import { projectRoot } from '../../support/root.ts'

export const chartFolder = join(projectRoot, 'charts', 'streampipeline-operator')

const onPath = (name: string): string | undefined =>
  (process.env['PATH'] ?? '')
    .split(':')
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))

const assets = await findAssets(process.env)
const beside = assets.kind === 'Found' ? join(assets.folder, 'helm') : ''

export const helmProgram = existsSync(beside) ? beside : onPath('helm')
export const needsHelm = {
  skip: helmProgram === undefined && 'no helm in KUBEBUILDER_ASSETS or on PATH: install Helm 3.17 or later',
}

export const promtool = onPath('promtool')
export const needsPromtool = { skip: promtool === undefined && 'no promtool on PATH: apt-get install prometheus' }

export const prometheus = onPath('prometheus')
export const needsPrometheus = { skip: prometheus === undefined && 'no prometheus on PATH: apt-get install prometheus' }

export const checkov = onPath('checkov')
export const needsCheckov = { skip: checkov === undefined && 'no checkov on PATH: pip install checkov' }

export const helm = async (t: TestContext, ...args: string[]): Promise<Completed> =>
  await run(t, args, { command: helmProgram ?? 'helm' })

export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly [field: string]: unknown
}

/** `values` in the form of `--set`, or, if they hold lists, of `--set-json`. Throws the message of helm. */
export async function render(t: TestContext, values: Readonly<Record<string, unknown>> = {}): Promise<readonly Manifest[]> {
  const { code, stdout, stderr } = await template(t, values)
  if (code !== 0) throw new Error(stderr)
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as Manifest | null)
    .filter((document) => document !== null)
}

export async function template(t: TestContext, values: Readonly<Record<string, unknown>>): Promise<Completed> {
  const sets = Object.entries(values).flatMap(([path, value]) => ['--set-json', `${path}=${JSON.stringify(value)}`])
  return await helm(t, 'template', 'test', chartFolder, '-n', 'ops', ...sets)
}

/** Everything that values can turn on. */
export const everything = {
  'networkPolicy.operator': true,
  'networkPolicy.consumers': true,
  'tenancy.images': ['ghcr.io/acme'],
  'tenancy.redisHosts': ['*.{namespace}.svc'],
  'tenancy.restrictedPods': true,
  'metrics.serviceMonitor.enabled': true,
  'metrics.consumerPodMonitors': true,
  'alerts.enabled': true,
  'dashboards.enabled': true,
} as const

/** What the Prometheus Operator would bring: kinds that only have to exist for the API server to take them. */
export const monitoringKinds = [
  ['ServiceMonitor', 'servicemonitors'],
  ['PrometheusRule', 'prometheusrules'],
].map(([kind = '', plural = '']) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.monitoring.coreos.com` },
  spec: {
    group: 'monitoring.coreos.com',
    names: { kind, plural, listKind: `${kind}List`, singular: kind.toLowerCase() },
    scope: 'Namespaced',
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
}))
