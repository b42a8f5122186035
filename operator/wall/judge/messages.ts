/** What passes between the operator and the process that judges what of a spec may be costly. */
import type { Problem } from '../../../api/admission.ts'

export interface ToJudge {
  readonly id: number
  /** With its defaults in. */
  readonly value: unknown
}

export interface FromJudge {
  readonly kind: 'Judged'
  readonly id: number
  readonly problems: readonly Problem[]
}
