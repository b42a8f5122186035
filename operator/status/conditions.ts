/**
 * The conditions. Each has a file of its own with an ordered list of named checks over the facts (facts.ts). All conditions are always
 * present. A message states the failure, its object, the cause and the remedy.
 */
import type { ConditionType } from '../../api/status.ts'
import type { Observed } from '../plan/observed.ts'
import { consumersAvailableChecks } from './conditions/consumersavailable.ts'
import { dataIntactChecks } from './conditions/dataintact.ts'
import { drainedChecks } from './conditions/drained.ts'
import { readyChecks } from './conditions/ready.ts'
import { reconciledChecks } from './conditions/reconciled.ts'
import { redisReachableChecks } from './conditions/redisreachable.ts'
import { scalingActiveChecks } from './conditions/scalingactive.ts'
import { stalledChecks } from './conditions/stalled.ts'
import { firstOf, type Verdict } from './conditions/verdict.ts'
import { factsOf } from './facts.ts'

export type Verdicts = Readonly<Record<ConditionType, Verdict>>

export function verdictsOf(observed: Observed, replicas: number, nowMs: number): Verdicts {
  const facts = factsOf(observed, replicas, nowMs)
  const parts = {
    Reconciled: firstOf(reconciledChecks, facts),
    RedisReachable: firstOf(redisReachableChecks, facts),
    ConsumersAvailable: firstOf(consumersAvailableChecks, facts),
  }
  return {
    Ready: firstOf(readyChecks, { ...facts, parts: [parts.Reconciled, parts.RedisReachable, parts.ConsumersAvailable] }),
    Stalled: firstOf(stalledChecks, facts),
    ...parts,
    ScalingActive: firstOf(scalingActiveChecks, facts),
    Drained: firstOf(drainedChecks, facts),
    DataIntact: firstOf(dataIntactChecks, facts),
  }
}
