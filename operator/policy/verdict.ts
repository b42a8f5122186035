/**
 * The operator's own judgement of a pipeline by the limits. The admission policy may not be installed, and a pipeline may be older than
 * it.
 */
import { failure, type StreamPipelineError } from '../../api/errors.ts'
import type { Reach } from '../../redis/connect/reach.ts'
import { type LimitName, type Limits, listLimits } from '../limits.ts'
import type { PipelineObject } from '../plan/observed.ts'
import { celValue, evaluate } from './cel.ts'
import { listVariable, type PolicyRule, partVariables, policyRules, type Variable } from './rules.ts'

/** The rules that apply to a pipeline of that namespace. */
function rulesFor(limits: Limits, namespace: string): readonly PolicyRule[] {
  return policyRules.filter(({ limit }) => {
    switch (limit) {
      case 'restrictedPods':
        return limits.restrictedPods
      case 'localRedis':
        return !limits.localRedis
      case 'signingSecret':
        return limits.operatorNamespace === namespace
      default:
        return limits[limit] !== undefined
    }
  })
}

/** The setting with which an administrator widens the limit. */
function switchOf(limit: PolicyRule['limit']): string {
  switch (limit) {
    case 'restrictedPods':
      return 'tenancy.restrictedPods (--restricted-pods)'
    case 'localRedis':
      return 'tenancy.localRedis (--local-redis)'
    case 'signingSecret':
      return 'nothing: this one always holds'
    default:
      return `tenancy.${limit} (${listLimits.find(({ value }) => value === limit)?.flag ?? ''})`
  }
}

/** The allowed hosts, with the namespace filled in. */
function hostsFor(limits: Limits, namespace: string): readonly string[] | undefined {
  return limits.redisHosts?.map((pattern) => pattern.replaceAll('{namespace}', namespace))
}

/** The variables that the rules use, directly or through others, in their order. Most operators have few limits and many pipelines. */
function neededBy(rules: readonly PolicyRule[]): readonly Variable[] {
  const namesIn = (expression: string) => [...expression.matchAll(/\bvariables\.(\w+)/g)].map(([, name = '']) => name)
  const needed = new Set(rules.flatMap(({ expression }) => namesIn(expression)))
  for (const { name, expression } of partVariables.toReversed())
    if (needed.has(name)) for (const inner of namesIn(expression)) needed.add(inner)
  return partVariables.filter(({ name }) => needed.has(name))
}

function variablesOf(object: unknown, limits: Limits, namespace: string, rules: readonly PolicyRule[]): Map<string, unknown> {
  const variables = new Map<string, unknown>([['operatorNamespace', limits.operatorNamespace ?? '']])
  for (const limit of Object.keys(listVariable) as LimitName[]) variables.set(listVariable[limit], limits[limit] ?? [])
  variables.set('redisHosts', hostsFor(limits, namespace) ?? [])
  variables.set('networksLimited', limits.redisNetworks !== undefined)
  for (const { name, expression } of neededBy(rules)) variables.set(name, evaluate(expression, { object, variables }))
  return variables
}

type Judgement = { readonly kind: 'Allowed' } | { readonly kind: 'Refused'; readonly rule: PolicyRule; readonly cause?: unknown }

/** Undefined: all limits allow the pipeline. */
export function policyRefusal(pipeline: PipelineObject, limits: Limits): StreamPipelineError | undefined {
  const namespace = pipeline.metadata.namespace ?? 'default'
  const judgement = judge(pipeline, limits, namespace)
  if (judgement.kind === 'Allowed') return undefined
  const { rule, cause } = judgement
  const lists = { ...limits, redisHosts: hostsFor(limits, namespace) }
  const allowed = rule.list === undefined ? undefined : (lists[rule.list] ?? [])
  const items = allowed === undefined ? '' : ` ${allowed.join(', ') || 'none'}`
  const failed = cause === undefined ? '' : `; the rule cannot be evaluated: ${firstLine(cause)}`
  const parameters = { field: rule.field, detail: `${rule.detail}${items}${failed}`, limit: switchOf(rule.limit) }
  return failure('PolicyRefused', parameters, cause)
}

/** A pipeline that cannot be judged is refused, as the API server does it: an expression met a value that it cannot read. */
function judge(pipeline: PipelineObject, limits: Limits, namespace: string): Judgement {
  const rules = rulesFor(limits, namespace)
  const [first] = rules
  if (first === undefined) return { kind: 'Allowed' }
  const object = celValue({ ...pipeline, metadata: { ...pipeline.metadata, namespace } })
  let rule = first
  try {
    const variables = variablesOf(object, limits, namespace, rules)
    for (rule of rules) if (evaluate(rule.expression, { object, variables }) !== true) return { kind: 'Refused', rule }
  } catch (cause) {
    return { kind: 'Refused', rule, cause }
  }
  return { kind: 'Allowed' }
}

/** CEL shows the expression below its message. */
const firstLine = (cause: unknown): string => (cause instanceof Error ? cause.message : '').split('\n', 1)[0] ?? ''

/** The addresses to which connections for a namespace's pipelines may go; undefined: any. */
export function reachFor(limits: Limits, namespace: string): Reach | undefined {
  const { localRedis, redisNetworks } = limits
  const hosts = hostsFor(limits, namespace)
  if (localRedis && hosts === undefined && redisNetworks === undefined) return undefined
  return {
    local: localRedis,
    ...(hosts === undefined ? {} : { hosts }),
    ...(redisNetworks === undefined ? {} : { networks: redisNetworks }),
  }
}
