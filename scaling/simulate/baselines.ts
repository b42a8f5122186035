/**
 * Other scalers of the same consumers, each with its published defaults and the same bounds. None sees the quarantine. Without
 * metrics all of them hold here, as the real scalers do.
 */
import type { Bounds } from '../policy.ts'
import { createHorizontal, syncSeconds } from './horizontal.ts'
import type { Scenario } from './scenario.ts'
import type { Controller, View } from './world.ts'

export const baselineNames = ['hpaOnAge', 'kedaLag', 'numaflow', 'oneStepBand'] as const
export type BaselineName = (typeof baselineNames)[number]

const boundsOf = ({ scaling }: Scenario): Bounds => ({ min: scaling.minReplicas, max: scaling.maxReplicas })

/** An HPA on the age of the oldest entry, metric type Value, target the same as ours. */
function hpaOnAge(scenario: Scenario): Controller {
  const hpa = createHorizontal(boundsOf(scenario))
  return {
    every: syncSeconds,
    decide: (view) =>
      view.visible
        ? hpa.scale(view.desired, (view.oldestAge * 1000) / scenario.scaling.targetAgeMs, view.ready, view.at)
        : view.desired,
  }
}

/**
 * KEDA's redis-streams trigger with lagCount (keda.sh/docs/scalers/redis-streams-lag: lagCount 5, activationLagCount 0;
 * keda.sh/docs/concepts/scaling-deployments: pollingInterval 30 s, cooldownPeriod 300 s). From one replica up the HPA asks KEDA's
 * metrics server at its own pace, as an AverageValue; between zero and one KEDA itself decides.
 */
function kedaLag(scenario: Scenario): Controller {
  const lagCount = 5
  const pollingSeconds = 30
  const cooldownSeconds = 300
  const bounds = boundsOf(scenario)
  const hpa = createHorizontal(bounds)
  let activeAt = 0
  return {
    every: syncSeconds,
    decide(view) {
      if (!view.visible) return view.desired
      const lag = view.undelivered
      if (view.at % pollingSeconds === 0) {
        if (lag > 0) activeAt = view.at
        if (view.desired === 0) return lag > 0 ? 1 : 0
        if (bounds.min === 0 && lag === 0 && view.at - activeAt >= cooldownSeconds) return 0
      }
      if (view.desired === 0) return 0
      // AverageValue: ceil(lag / lagCount), whatever runs.
      return hpa.scale(view.desired, lag / lagCount / view.desired, view.desired, view.at)
    },
  }
}

/**
 * Numaflow (numaflow.numaproj.io/user-guide/reference/autoscaling, pkg/reconciler/monovertex/scaling/scaling.go):
 * ready × pending / (rate × targetProcessingSeconds), two replicas at a time, cooldowns 90 s, both signals averaged over a
 * lookback of 120 s, pending includes what is not acknowledged; from zero it looks every 120 s with one replica.
 */
function numaflow(scenario: Scenario): Controller {
  const targetProcessingSeconds = 20
  const lookbackSeconds = 120
  const cooldownSeconds = 90
  const step = 2
  const zeroReplicaSleepSeconds = 120
  const { min, max } = boundsOf(scenario)
  let seen: { readonly at: number; readonly settled: number; readonly pending: number }[] = []
  let scaledAt = Number.NEGATIVE_INFINITY
  const before = { pods: new Map<number, number>(), total: 0 }
  const wanted = (view: View): number => {
    if (view.updating || view.ready !== view.desired) return view.desired
    const since = view.at - scaledAt
    if (view.desired === 0) return since >= zeroReplicaSleepSeconds ? 1 : 0
    if (since < cooldownSeconds || view.ready === 0) return view.desired
    const first = seen[0]
    const last = seen.at(-1)
    if (first === undefined || last === undefined || last.at === first.at) return view.desired
    const rate = (last.settled - first.settled) / (last.at - first.at)
    const pending = seen.reduce((sum, item) => sum + item.pending, 0) / seen.length
    if (rate === 0) return pending === 0 ? min : view.desired
    const raw = Math.max(1, Math.round((pending / rate / targetProcessingSeconds) * view.ready))
    const desired = Math.min(max, Math.max(min, pending > 0 ? Math.min(raw, Math.ceil(pending)) : raw))
    return Math.max(view.desired - step, Math.min(view.desired + step, desired))
  }
  return {
    every: 5,
    decide(view) {
      if (!view.visible) return view.desired
      view.settle()
      for (const pod of view.pods) {
        before.total += pod.settled - (before.pods.get(pod.id) ?? 0)
        before.pods.set(pod.id, pod.settled)
      }
      const item = { at: view.at, settled: before.total, pending: view.undelivered + view.pending }
      seen = [...seen.filter((old) => old.at > view.at - lookbackSeconds), item]
      const replicas = wanted(view)
      if (replicas !== view.desired) scaledAt = view.at
      return replicas
    },
  }
}

/**
 * A band on queue time, one replica at a time, as Judoscale does (judoscale.com/guides/autoscaling-behavior and
 * /docs/tuning-your-application: metrics every 10 s, steps of one, downscale delay 10 min). Its band is the user's: here up
 * above half the target and down below a tenth. Its pause between steps up is left out, in its favour.
 */
function oneStepBand(scenario: Scenario): Controller {
  const downDelaySeconds = 600
  const { min, max } = boundsOf(scenario)
  const target = scenario.scaling.targetAgeMs / 1000
  let calmSince = 0
  return {
    every: 10,
    decide(view) {
      if (!view.visible) return view.desired
      if (view.oldestAge > target / 10) calmSince = view.at
      if (view.oldestAge > target / 2 || (view.desired === 0 && view.undelivered > 0)) return Math.min(max, view.desired + 1)
      if (view.at - calmSince < downDelaySeconds) return view.desired
      calmSince = view.at
      return Math.max(min, view.desired - 1)
    },
  }
}

export const baselines = { hpaOnAge, kedaLag, numaflow, oneStepBand } satisfies Record<
  BaselineName,
  (scenario: Scenario) => Controller
>
