import type { HostileKind } from '../kind.ts'
import { replyKinds } from './replies.ts'

export const allKinds: readonly HostileKind[] = [...replyKinds]
