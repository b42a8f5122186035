import type { Scenario } from '../scene.ts'
import { capturing, replaying } from './deadletters.ts'
import { executionLocks } from './execution.ts'
import { beating, claiming, handingBack, reaping, reapingEmpty, renewing, retiring } from './pending.ts'
import { dispatchingDirectly, refusedByBull, settling, settlingEachAlone } from './settling.ts'
import * as stream from './stream.ts'

export const scenarios: readonly Scenario[] = [
  ...[
    settling,
    ...settlingEachAlone,
    refusedByBull,
    dispatchingDirectly,
    claiming,
    renewing,
    handingBack,
    reaping,
    reapingEmpty,
    retiring,
    beating,
  ],
  ...[stream.firstGroup, stream.groupAgain, stream.groupAfterFlush, stream.trimming, stream.cutting, stream.auditing],
  ...[stream.rebasing, stream.dispatching, stream.dispatchingOne, capturing, replaying, ...executionLocks],
]
