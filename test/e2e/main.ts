/**
 * `npm run test:e2e`: images, chart and pipelines on the real cluster of KUBECONFIG. It creates the namespaces `streampipeline`,
 * `farm`, `shift`, `shift-farm` and `streampipeline-node`, and deletes them and the CRD at the end.
 *
 *   KUBECONFIG             the cluster
 *   LOAD_IMAGE             command that brings an image archive to its nodes, given as its last argument: `kind load
 *   image-archive`,
 *                          `ctr -n k8s.io images import`, `docker load -i`
 *   KUBEBUILDER_ASSETS     where kubectl and helm are; default: PATH
 *   BASE, BUILDER          as `npm run images` has them
 *
 *   --capture              writes what a user sees at each stage to docs/what-you-see.md
 *   --keep                 leaves everything as it is at the end
 *   --only PATTERN         of the stages after the first job, those whose name matches, and the last
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Redis } from 'ioredis'
import { bundleFolder } from '../../build/bundle.ts'
import { type Builder, buildImage, buildImages, findBuilder } from '../../build/images.ts'
import { provideRedisServer, thisSystem } from '../../local/redisinstall.ts'
import { hasEarlierRelease, needsEarlierRelease } from '../support/earlierrelease.ts'
import { projectRoot } from '../support/root.ts'
import { seed } from '../support/seed.ts'
import { execute, kubectl, program } from './commands.ts'
import { buildEarlier } from './earlier.ts'
import { patience, until } from './patience.ts'
import { operatorNamespace, pipelineName, pipelinesNamespace } from './pipeline.ts'
import { buildRedisImage } from './redispod.ts'
import { createReport, type Report } from './stage.ts'
import * as faults from './stages/faults.ts'
import * as firstHour from './stages/firsthour.ts'
import * as mistakes from './stages/mistakes.ts'
import * as otherPlatform from './stages/otherplatform.ts'
import * as releases from './stages/releases.ts'
import * as statuses from './stages/statuses.ts'
import * as upgrade from './stages/upgrade.ts'
import { createTraffic, type Ledger, type Traffic, whereabouts } from './traffic.ts'
import { openTunnel } from './tunnel.ts'

const { values: options } = parseArgs({
  options: { capture: { type: 'boolean' }, keep: { type: 'boolean' }, only: { type: 'string' } },
})
const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string }
const nextTag = 'next'
const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** The same consumer under another tag: what the next release's default image would be. */
function buildNextConsumer(builder: Builder, archive: string): string {
  const context = mkdtempSync(join(tmpdir(), 'streampipeline-nextimage-'))
  try {
    const dockerfile = join(context, 'Dockerfile')
    writeFileSync(
      dockerfile,
      `FROM localhost/streampipeline/consumer:${version}\nLABEL org.opencontainers.image.version="${nextTag}"\n`,
    )
    return buildImage(builder, { reference: `localhost/streampipeline/consumer:${nextTag}`, archive, dockerfile, context })
      .archive
  } finally {
    rmSync(context, { recursive: true, force: true })
  }
}

async function images(): Promise<void> {
  const load = (process.env['LOAD_IMAGE'] ?? '').split(' ').filter((word) => word !== '')
  const [command, ...args] = load
  if (command === undefined) throw new Error('LOAD_IMAGE names no command, such as: kind load image-archive')
  const builder = findBuilder(process.env)
  if (builder === undefined) throw new Error('neither buildah nor a docker daemon is here: apt-get install -y buildah')
  const redis = join(bundleFolder, 'redis.tar')
  const [built, earlier] = await Promise.all([buildImages(process.env), hasEarlierRelease ? buildEarlier() : []])
  const archives = [...built.map(({ archive }) => archive), buildNextConsumer(builder, join(bundleFolder, 'next.tar'))]
  const server = process.env['REDIS_SERVER'] ?? (await provideRedisServer(thisSystem(say)))
  const { stdout } = await execute('sh', ['-c', `command -v "$0"`, server])
  buildRedisImage(builder, redis, stdout.trim())
  const loaded = [...archives, redis, ...earlier].map(async (archive) => {
    const { code, stderr } = await execute(command, [...args, archive])
    assert.equal(code, 0, `${load.join(' ')} ${archive}: ${stderr}`)
  })
  await Promise.all(loaded)
}

/**
 * A status may be older than the last entries, so this waits until the stream itself is settled. Entries that are still in it after
 * a minute stand in the ledger that is returned.
 */
async function settledLedger(traffic: Traffic): Promise<Ledger> {
  const settled = async () => {
    const { undelivered, pending } = await traffic.ledger()
    return undelivered + pending === 0
  }
  await until(settled, 60_000, 1_000).catch(() => undefined)
  return await traffic.ledger()
}

interface Run {
  readonly report: Report
  readonly traffic: Traffic
  readonly redis: Redis
  /** Runs it if `--only` names it. */
  readonly stage: (name: string, work: () => Promise<void>) => Promise<boolean>
}

/** From the release before to this one, and from none to this one. */
async function releasesBefore({ report, redis, stage }: Run): Promise<boolean> {
  if (hasEarlierRelease) {
    const installed = await stage('the earlier release is installed, and runs pipelines', upgrade.installEarlier)
    if (installed) {
      await stage('an upgrade from it under load', async () => await upgrade.upgradeFromEarlier(report, redis, seed))
      await stage('uninstalled: consumers go on', async () => await upgrade.uninstall(redis, seed))
    }
  } else report.note(String(needsEarlierRelease.skip))
  return await report.stage('helm install and helm test: no consumer restarts', async () => {
    await upgrade.unharmed(async () => await firstHour.install(report))
    await upgrade.removeEarlier()
  })
}

async function faultsUnderLoad({ report, traffic, redis, stage }: Run): Promise<void> {
  await stage('consumers crashed and killed under load', async () => await faults.killConsumers(traffic))
  await stage('Redis restarted under load', async () => await faults.restartRedis(report, traffic, redis))
  await stage('the leader crashed under load', async () => await faults.killLeader(report, traffic))
  await stage('a rolling update under load', async () => await faults.rollUnderLoad(traffic))
  await stage("a node's containers killed under load", async () => await faults.killNode(report, traffic))
}

async function mistakesAreReported({ report, stage }: Run): Promise<void> {
  await stage('an HPA is put on a Deployment', statuses.addAutoscaler)
  await stage('a bad image is reported', async () => await mistakes.badImage(report))
  await stage('a missing Secret is reported', async () => await mistakes.badSecret(report))
  await stage('a quota is reported', async () => await mistakes.quota(report))
  await stage('a stuck rollout is not Ready', async () => await statuses.stuckRollout(report))
  await stage('the HPA is named, and not fought', async () => await statuses.foreignAutoscaler(report))
}

/** A release of its own in namespaces of its own, beside which the other stages go on. */
async function onAnotherPlatform({ report, redis, stage }: Run): Promise<void> {
  const traffic = otherPlatform.trafficOf(redis, seed + 1)
  const steps = [
    ['on OpenShift, as its rules have it', otherPlatform.openShift],
    ['an operator restored with its Secret: no consumer restarts', otherPlatform.restoreOperator],
    ['all restored without owners and Secret: adopted, nothing lost', otherPlatform.restoreAll],
  ] as const
  for (const [name, work] of steps) if (!(await stage(name, async () => await work(report, traffic)))) break
  await otherPlatform.removeOtherPlatform()
}

/** Most of it is waiting. */
async function limits({ report, traffic, stage }: Run): Promise<void> {
  await stage('the queue is full: entries wait in the stream', async () => await firstHour.fullQueue(report, traffic))
  await stage('to zero and awake', async () => await firstHour.zeroAndAwake(report, traffic))
}

async function pipelines(report: Report): Promise<boolean> {
  if (!(await report.stage('Redis answers by its Service name', firstHour.startRedis))) return false
  const tunnel = await openTunnel(pipelinesNamespace)
  const { redis } = tunnel
  const traffic = createTraffic(redis, { stream: 'ndvi:jobs', group: 'ndvi', queue: pipelineName }, seed)
  const wanted = new RegExp(options.only ?? '')
  const stage: Run['stage'] = async (name, work) => (wanted.test(name) ? await report.stage(name, work) : true)
  const run = { report, traffic, redis, stage }
  try {
    if (!(await releasesBefore(run))) return false
    await report.stage('the quickstart: entries become jobs', async () => await firstHour.firstJob(report, traffic))
    await stage('a burst: replicas grow, the age falls, back to the minimum', async () => await firstHour.burst(report, traffic))
    await Promise.all([limits(run).then(async () => await mistakesAreReported(run)), onAnotherPlatform(run)])
    await faultsUnderLoad(run)
    await stage('an upgrade to the same writes nothing', async () => await releases.upgradeToTheSame(report))
    await stage('an upgrade to new consumers under load', async () => await releases.upgradeConsumers(traffic, version, nextTag))
    await report.stage('nothing lost, nothing doubled', async () => {
      const ledger = await settledLedger(traffic)
      report.note(whereabouts(ledger))
      const { undelivered, pending, lost, doubled, strangers } = ledger
      report.measure('requests still in the stream', undelivered + pending, 'requests', 0)
      report.measure('requests lost', lost, 'requests', 0)
      report.measure('jobs doubled', doubled, 'jobs', 0)
      report.measure('jobs nobody asked for', strangers, 'jobs', 0)
    })
    return true
  } finally {
    await tunnel.close()
  }
}

async function cleanUp(): Promise<void> {
  // Pipelines first, while their kind is still there; whatever is gone already is no matter.
  await kubectl('delete', 'crd', 'streampipelines.streampipeline.dev', '--ignore-not-found', `--timeout=${patience(60)}`)
  await execute(program('helm'), ['uninstall', 'streampipeline', '-n', operatorNamespace, '--wait'])
  await kubectl('delete', 'namespace', operatorNamespace, pipelinesNamespace, '--ignore-not-found', `--timeout=${patience(90)}`)
}

if (!process.env['KUBECONFIG']) {
  say('KUBECONFIG names no cluster; this test needs one that it may change')
  process.exit(64)
}
const report = createReport()
say(`seed ${seed}`)
const there =
  (await report.stage('images built and loaded', images)) &&
  (await report.stage('restricted namespaces', firstHour.makeNamespaces))
const ran = there && (await pipelines(report))
if (ran && !options.keep && options.only === undefined) await report.stage('removed as documented', releases.remove)
if (!options.keep) await report.stage('everything taken away', cleanUp)
process.exitCode = report.finish(options.capture ? join(projectRoot, 'docs', 'what-you-see.md') : undefined)
