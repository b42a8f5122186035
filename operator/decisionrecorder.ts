/**
 * The operator's decision log: lines of the form that `simulate --replay` reads, in its own log. So `kubectl logs` is all that it
 * takes to get them out. `changes` writes a line when another number is decided than before; `all` writes every decision, as a
 * replay under another policy needs.
 */
import { decisionLine, type LoggedDecision } from '../scaling/decisionlog.ts'

export type RecordedDecisions = 'none' | 'changes' | 'all'

export type MadeDecision = Omit<LoggedDecision, 'version' | 'pipeline'>

interface DecisionRecorder {
  /** @param pipeline `namespace/name` */
  made(pipeline: string, decision: MadeDecision): void
  forget(pipeline: string): void
}

export function createDecisionRecorder(which: RecordedDecisions, write: (line: string) => void): DecisionRecorder {
  const last = new Map<string, number>()
  return {
    made(pipeline, made) {
      const { replicas } = made.decision
      // At a start an earlier process decided the running number.
      const before = last.get(pipeline) ?? made.policy.currentReplicas ?? replicas
      last.set(pipeline, replicas)
      if (which === 'all' || (which === 'changes' && replicas !== before)) write(decisionLine({ pipeline, ...made }))
    },
    forget: (pipeline) => void last.delete(pipeline),
  }
}
