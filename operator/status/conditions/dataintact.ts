/** Lost entries, entries that other programs took, and the group that retention waits for (intact.ts). */
import { intactOf } from '../intact.ts'
import { lastSeen } from '../lastseen.ts'
import { type Checks, verdict } from './verdict.ts'

export const dataIntactChecks: Checks = [
  {
    name: 'what was counted',
    says({ look, observed: { spec } }) {
      const sample = look.kind === 'None' ? undefined : look.sample
      const said = sample && intactOf(sample, spec.kind === 'Sound' ? spec.pipeline : undefined)
      const seen = lastSeen(look)
      return said && seen !== undefined
        ? { ...said, message: `${said.message}. Redis cannot be asked: this is as of ${seen}` }
        : said
    },
  },
  { name: 'not counted yet', says: () => verdict('Unknown', 'NotObservedYet', 'Known when Redis answers') },
]
