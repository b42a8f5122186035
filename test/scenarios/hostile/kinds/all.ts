import type { HostileKind } from '../kind.ts'
import { lookKinds } from './looks.ts'
import { outputKinds } from './outputs.ts'
import { replyKinds } from './replies.ts'
import { specKinds } from './specs.ts'

export const allKinds: readonly HostileKind[] = [...replyKinds, ...lookKinds, ...specKinds, ...outputKinds]
