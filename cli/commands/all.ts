/** Every command, in the order of the help. */
import type { RegisterCommand } from '../program.ts'
import { registerConsume } from './consume.ts'
import { registerCrd } from './crd.ts'
import { registerDead } from './dead.ts'
import { registerOperator } from './operator.ts'
import { registerSimulate } from './simulate.ts'
import { registerStatus } from './status.ts'
import { registerTypes } from './types.ts'
import { registerUp } from './up.ts'
import { registerValidate } from './validate.ts'

export const commands: readonly RegisterCommand[] = [
  ...[
    registerValidate,
    registerUp,
    registerStatus,
    registerDead,
    registerConsume,
    registerOperator,
    registerSimulate,
    registerTypes,
    registerCrd,
  ],
]
