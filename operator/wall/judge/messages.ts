/** Messages between the operator and the process that judges costly parts of a spec. */
import type { Problem } from '../../../api/admission.ts'

export interface ToJudge {
  readonly id: number
  /** The document with its defaults in. */
  readonly value: unknown
}

export interface FromJudge {
  readonly kind: 'Judged'
  readonly id: number
  readonly problems: readonly Problem[]
}
