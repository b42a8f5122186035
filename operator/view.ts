/**
 * One view: a reflector of one kind, in one namespace or in the whole cluster. It may fail alone: its namespace is missing or forbidden, its
 * kind is not installed, or its list gets an error 500. It recovers by itself.
 *
 *   Filling ──listed──▶ Lit ──watch fails for 15 s──▶ Dark (known: the last state stands) ──watch opens──▶ Lit
 *      └──refused three times, or silent for 15 s──▶ Dark (nothing is known) ──listed──▶ Lit
 *
 * If all views are dark, the API server is probably away. No status can be written then, and nothing is known to be wrong with a namespace.
 * But if the API server still answers lists, watches alone fail, and the status of every pipeline reports that.
 */
import { failure, type StreamPipelineError } from '../api/errors.ts'
import type { WatchOutage } from './kubernetes/lag.ts'
import type { ResourceType } from './kubernetes/objects.ts'
import type { Reflector } from './kubernetes/reflector.ts'
import { podMonitorType } from './plan/kinds.ts'
import type { DarkKind } from './plan/observed.ts'

export interface DarkView extends DarkKind {
  readonly plural: string
  /** Undefined: all namespaces. */
  readonly namespace: string | undefined
}

export interface View {
  readonly type: ResourceType
  readonly namespace: string | undefined
  readonly reflector: Reflector
  /** Set by `judge`. Undefined: lit, or filling. */
  dark: DarkView | undefined
}

/** Refusals in a row after which a view that was never filled is dark. */
const patience = 3
/** Longest time for a first list, or for an interruption of a watch. */
export const patienceMs = 15_000

/** Sets `dark`. Returns whether it changed. Called at each report of an outage, at least every fifteen seconds while it lasts. */
export function judge(view: View, outage: WatchOutage | undefined, nowMs: number): boolean {
  const { reflector, dark } = view
  const known = reflector.synced
  const isDark = outage !== undefined && (known ? nowMs - outage.sinceMs >= patienceMs : outage.attempt >= patience)
  if (isDark === (dark !== undefined) && dark?.error.code === outage?.error.code && dark?.known === known) return false
  if (!isDark && dark === undefined) return false
  view.dark = isDark ? darkened(view, known, outage.error) : undefined
  return true
}

/** @param ranMs when the views began to run; undefined: not yet */
export function isSilent({ reflector, dark }: View, ranMs: number | undefined, nowMs: number): boolean {
  return !reflector.synced && dark === undefined && ranMs !== undefined && nowMs - ranMs >= patienceMs
}

/** A silent view counts as dark, too. */
export function darkOf(view: View, ranMs: number | undefined, nowMs: number): DarkView | undefined {
  if (view.dark !== undefined || !isSilent(view, ranMs, nowMs)) return view.dark
  const detail = 'the first list has not been answered'
  return darkened(view, false, view.reflector.outage?.error ?? failure('KubernetesUnreachable', { detail }))
}

function darkened({ type, namespace }: View, known: boolean, error: StreamPipelineError): DarkView {
  const { kind, plural } = type
  return { kind, plural, namespace, known, subject: namespace === undefined ? plural : `${plural} in ${namespace}`, error }
}

export function covers({ namespace }: View, other: string): boolean {
  return namespace === undefined || namespace === other
}

/** The definition of PodMonitor may be installed later, or never. */
export function isOptional(type: ResourceType): boolean {
  return type === podMonitorType
}
