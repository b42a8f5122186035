/** The quick form of the comparison: every scenario under ours, and the promises that hold for each. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { runOurs, runTrial, summarise } from '../../../scaling/simulate/compare.ts'
import { drawLoad } from '../../../scaling/simulate/load.ts'
import { lateShare, loadReversals, mostUnready, reversalsOf, uselessPods } from '../../../scaling/simulate/measure.ts'
import { tautString } from '../../../scaling/simulate/oracle.ts'
import { createRandom } from '../../../scaling/simulate/random.ts'
import { readAllScenarios, runSimulate } from '../../../scaling/simulate/run.ts'
import { parseScenario, type Scenario } from '../../../scaling/simulate/scenario.ts'
import { runScenarios } from '../../../scaling/simulate/trials.ts'
import { simulate } from '../../../scaling/simulate/world.ts'
import { seed } from '../../support/seed.ts'

const scenarios = await readAllScenarios()
/** `streampipeline simulate --all --seeds 20` tries more. */
const seeds = [101]
/** Something behind the consumers does less than is offered: no number of replicas keeps the target. */
const limited = ['downstream-cap', 'full-queue']
/** Nor does any where none can start. */
const infeasible = new Set([...limited, 'pods-never-start'])

function named(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name)
  assert.ok(found !== undefined, name)
  return found
}

const small = parseScenario(
  `
name: small
about: Ten minutes, for tests of the tool itself.
duration: 10m
scaling: {minReplicas: 1, maxReplicas: 20, targetAge: 30s}
arrivals: [{kind: Constant, perSecond: 5}, {kind: Spikes, perSecond: 20, every: 5m, lasting: 1m, from: 2m}]
service: {mean: 1s}
poison: {entries: 30, from: 1m, until: 3m}
`,
  'small.yaml',
)

describe('simulated scaling', () => {
  it('has at least fourteen scenarios, some of which the model was not tuned on', () => {
    assert.ok(scenarios.length >= 14)
    assert.ok(scenarios.filter(({ heldOut }) => heldOut).length >= 2)
    assert.equal(new Set(scenarios.map(({ name }) => name)).size, scenarios.length)
  })

  for (const scenario of scenarios) {
    it(`${scenario.name}: ${infeasible.has(scenario.name) ? '' : 'at most 1 % late, '}poisoned entries change no decision, and without metrics the number never falls`, () => {
      for (const seed of seeds) {
        const load = drawLoad(scenario, seed)
        const { run, breaches } = runOurs(scenario, load, seed)
        assert.deepEqual([breaches.poisonMoved, breaches.blindShrinks, breaches.restartShrinks], [0, 0, 0])
        assert.equal(breaches.restarts, scenario.operatorRestarts.length)
        if (infeasible.has(scenario.name)) continue
        assert.ok(lateShare(scenario, load, run) <= 0.01, `seed ${seed}: ${lateShare(scenario, load, run)}`)
        const hours = scenario.duration / 3600
        // Chance of one seed: the bar of two an hour is on the mean of many.
        const beyond = (reversalsOf(run.desired) - loadReversals(scenario)) / hours
        assert.ok(beyond <= 4, `seed ${seed}: ${beyond} reversals an hour beyond the load's own`)
      }
    })
  }

  for (const name of limited) {
    it(`${name}: settles nearly all that can be settled, with few more replicas than are of use`, () => {
      const scenario = named(name)
      const { run } = runOurs(scenario, drawLoad(scenario, 101), 101)
      const useless = uselessPods(scenario, run)
      assert.ok(useless !== undefined)
      assert.ok(useless.throughput >= 0.97 && useless.replicasOverUseful <= 1.5, JSON.stringify(useless))
    })
  }

  it('asks for one replica while none starts, and clears what waited once they do', () => {
    const scenario = named('pods-never-start')
    const load = drawLoad(scenario, 101)
    const { run } = runOurs(scenario, load, 101)
    assert.equal(mostUnready(run), 1)
    assert.ok(Math.max(...run.ages.slice(20 * 60)) < 30, 'five minutes after the first could start')
  })

  it('takes nothing away when the operator is replaced, at whatever moment, and keeps the target', () => {
    const random = createRandom(seed, 'restarts')
    for (const name of ['step', 'sawtooth', 'flash-crowd', 'zero-then-burst', 'slow-start']) {
      const scenario = named(name)
      const times = Array.from({ length: 20 }, () => Math.floor(random() * (scenario.duration - 60))).sort((a, b) => a - b)
      const operatorRestarts = times.map((at) => {
        const state = (['Stored', 'Lost', 'Foreign'] as const)[Math.floor(random() * 3)] ?? 'Stored'
        return { at, away: Math.floor(random() * 20), state }
      })
      const replaced: Scenario = { ...scenario, operatorRestarts }
      const load = drawLoad(replaced, 101)
      const { run, breaches } = runOurs(replaced, load, 101)
      assert.ok(breaches.restarts > 0)
      assert.equal(breaches.restartShrinks, 0, `${name}, seed ${seed}`)
      assert.ok(lateShare(replaced, load, run) <= 0.02, `${name}, seed ${seed}: ${lateShare(replaced, load, run)}`)
    }
  })

  it('never takes replicas away in 1,000 injected faults of the metrics', () => {
    let blind = 0
    for (const [i, onMetricsLoss] of (['Hold', 'Max', 3] as const).entries()) {
      const diurnal = named('diurnal')
      const scenario: Scenario = {
        ...diurnal,
        scaling: { ...diurnal.scaling, onMetricsLoss },
        metricFaults: { every: 30 },
      }
      const { breaches } = runOurs(scenario, drawLoad(scenario, i), i)
      assert.equal(breaches.blindShrinks, 0)
      blind += breaches.blindDecisions
    }
    assert.ok(blind >= 1_000, String(blind))
  })
})

describe('the simulator', () => {
  it('gives the same for the same seed, in whatever thread', async () => {
    const one = summarise(
      small,
      [1, 2, 3].map((seed) => runTrial(small, seed)),
    )
    const [other] = await runScenarios([small], 3)
    assert.deepEqual(other, one)
    assert.notDeepEqual(drawLoad(small, 1).arrivals, drawLoad(small, 2).arrivals)
  })

  it('ends when a trial fails, in whatever thread', async () => {
    await assert.rejects(runScenarios([{ ...small, duration: -1 }, small], 2), RangeError)
  })

  it('loses and invents nothing: every healthy entry is settled once, every poisoned one is dead', () => {
    const quiet: Scenario = {
      ...small,
      duration: 1200,
      arrivals: [{ kind: 'Constant', perSecond: 10, until: 300 }],
      crashes: { every: 60 },
    }
    const load = drawLoad(quiet, 7)
    const { run } = runOurs(quiet, load, 7)
    assert.equal(
      run.settled.reduce((sum, count) => sum + count, 0),
      load.arrivals.length,
    )
  })

  it('goes on where a queue is behind the consumers and nothing arrives any more', () => {
    const ending: Scenario = {
      ...small,
      arrivals: [{ kind: 'Constant', perSecond: 20, until: 120 }],
      queue: { perSecond: 10, maxWaiting: 200 },
    }
    const load = drawLoad(ending, 3)
    const waiting: number[] = []
    const { waits } = simulate(ending, load, { every: 1, decide: (view) => waiting.push(view.queueWaiting) && 4 }, 3)
    assert.ok(waits.every((waited) => waited >= 0))
    assert.ok(Math.max(...waiting) <= 201, 'no more than the limit')
    assert.equal(waiting.at(-1), 0, 'and a queue to which nothing is added becomes empty')
  })

  it('lets no replica take anything while Redis is away, replicas that start meanwhile included', () => {
    const [from, lasting] = [60.5, 30]
    const away: Scenario = { ...small, scaling: { ...small.scaling, minReplicas: 0 }, redisOutages: [{ from, lasting }] }
    const load = drawLoad(away, 4)
    const { waits } = simulate(away, load, { every: 1, decide: ({ at }) => (at < 70 ? 0 : 10) }, 4)
    const taken = [...waits].map((waited, entry) => waited + (load.arrivals[entry] as number))
    assert.ok(taken.every((at) => !(at > 0 && at < from + lasting)))
  })

  it('lets the oracle keep the target with fewer replica seconds than our decisions need', () => {
    const { oracle, oracleKeeps, ours } = runTrial(small, 5)
    assert.ok(oracleKeeps)
    assert.ok(oracle.late / oracle.entries <= 0.01)
    assert.ok(oracle.replicaSeconds < ours.replicaSeconds)
  })

  it('counts no reversals of the load for batches that would come after the end', () => {
    const late: Scenario = { ...small, arrivals: [{ kind: 'Batches', entries: 5, every: 60, from: 3600 }] }
    assert.equal(loadReversals(late), 0)
  })

  it('pulls a string taut between what is due and what has arrived', () => {
    const path = tautString(Float64Array.from([0, 0, 0, 6, 6]), Float64Array.from([0, 4, 6, 6, 6]))
    assert.deepEqual([...path], [2, 2, 2, 0])
  })

  it('names the field of a scenario that is wrong', () => {
    const text = 'name: x\nabout: y\nduration: soon\nscaling: {}\narrivals: []\nservice: {mean: 1s}\n'
    assert.throws(() => parseScenario(text, 'x.yaml'), { code: 'UnreadableFile', message: /duration: write a duration/ })
    const endless =
      'name: x\nabout: y\nduration: 1m\nscaling: {}\narrivals: [{kind: Batches, entries: 3, every: 0s}]\nservice: {mean: 1s}\n'
    assert.throws(() => parseScenario(endless, 'x.yaml'), { code: 'UnreadableFile', message: /every: it must be longer than 0s/ })
  })
})

describe('streampipeline simulate', () => {
  it('prints results, draws, logs, and replays the log under another policy', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'simulate-'))
    t.after(() => rm(folder, { recursive: true }))
    const file = join(folder, 'small.yaml')
    await writeFile(
      file,
      `name: small\nabout: a & b\nduration: 5m\nscaling: {targetAge: 30s}\narrivals: [{kind: Constant, perSecond: 20}]\nservice: {mean: 1s}\n`,
    )
    const log = join(folder, 'log.jsonl')
    let printed = ''
    const print = (text: string) => {
      printed += text
    }
    await runSimulate({ scenario: [file], seeds: 1, output: 'json', plot: folder, decisionLog: log }, print)
    const [result] = JSON.parse(printed).scenarios
    assert.deepEqual(
      [result.name, result.feasible, Object.keys(result.baselines)],
      ['small', true, ['hpaOnAge', 'kedaLag', 'numaflow', 'oneStepBand']],
    )
    assert.match(await readFile(join(folder, 'small.svg'), 'utf8'), /^<svg .*a &amp; b/s)

    printed = ''
    await runSimulate({ replay: log, seeds: 1, output: 'json' }, print)
    const same = JSON.parse(printed)
    assert.deepEqual([same.decisions, same.notReproduced, same.differing, same.changes], [60, 0, 0, []])

    printed = ''
    await runSimulate({ replay: log, file: 'examples/quickstart.yaml', seeds: 1, output: 'table' }, print)
    assert.match(
      printed,
      /^60 decisions, all reproduced as recorded\n\d+ would have been others; .*\nthe first decision of each.*\n {2}2026-/,
    )
  })

  it('draws a replayed log, and refuses what it would not use', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'streampipeline-simulate-'))
    t.after(() => rm(folder, { recursive: true }))
    const log = join(folder, 'week <1>.jsonl')
    const quick = { seeds: 1, output: 'table' } as const
    await runSimulate({ ...quick, scenario: ['stuck-poison'], decisionLog: log }, () => undefined)
    const plots = join(folder, 'plots')
    let printed = ''
    const print = (text: string) => {
      printed += `${text}\n`
    }
    await runSimulate({ ...quick, replay: log, file: 'examples/quickstart.yaml', plot: plots }, print)
    assert.ok(printed.startsWith(`plot: ${join(plots, 'week <1>.svg')}\n`), printed)
    const svg = await readFile(join(plots, 'week <1>.svg'), 'utf8')
    assert.match(svg, /^<svg .*week &lt;1&gt;.*arrivals per second.*replicas decided.*>recorded<.*>now<.*<\/svg>\n$/s)
    assert.doesNotMatch(svg, /NaN|Infinity|undefined/)
    printed = ''
    await runSimulate({ ...quick, output: 'json', replay: log, plot: plots }, print)
    assert.doesNotMatch(printed, /plot:/)
    JSON.parse(printed)

    const [first = ''] = (await readFile(log, 'utf8')).split('\n')
    await writeFile(log, `${first}\n`)
    await assert.rejects(runSimulate({ ...quick, replay: log, plot: plots }, print), { message: /--plot: the log spans no time/ })
    for (const [options, message] of [
      [{ replay: log, all: true }, /--all: --replay runs the decisions of a log/],
      [{ replay: log, scenario: ['spikes'] }, /--scenario: --replay runs/],
      [{ replay: log, decisionLog: 'x' }, /--decision-log: --replay makes no new/],
      [{ replay: log, output: 'markdown' }, /--output: --replay prints a table or json/],
      [{ all: true, file: 'x' }, /--file: it is the pipeline that a log is asked about/],
      [{ all: true, pipeline: 'a/b' }, /--pipeline: it chooses among the pipelines of a log/],
    ] as const) {
      await assert.rejects(runSimulate({ ...quick, ...options }, print), { code: 'InvalidOption', message })
    }
  })

  it('refuses a log without decisions, and says who writes them', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'streampipeline-simulate-'))
    t.after(() => rm(folder, { recursive: true }))
    const log = join(folder, 'operator.log')
    for (const lines of ['', `${JSON.stringify({ level: 'info', msg: 'leading' })}\n`]) {
      await writeFile(log, lines)
      await assert.rejects(
        runSimulate({ replay: log, seeds: 1, output: 'table' }, () => undefined),
        { code: 'UnreadableFile', message: /operator\.log.*it holds no decisions: .*--decision-log all/ },
      )
    }
  })

  it('finds a scenario that comes with it by name, and names those there are for one that does not', async () => {
    await assert.rejects(
      runSimulate({ scenario: ['spike'], seeds: 1, output: 'table' }, () => undefined),
      {
        code: 'InvalidOption',
        message: /no file spike, and no such scenario among .*, spikes,/,
      },
    )
    let printed = ''
    await runSimulate({ scenario: ['stuck-poison'], seeds: 1, output: 'table' }, (text) => {
      printed += text
    })
    assert.match(printed, /^scenario .*\nstuck-poison /)
  })
})
