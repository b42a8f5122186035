/** Drills of the alerts on the operator. */
import { pipelineType } from '../../operator/plan/kinds.ts'
import { rules } from '../operator/cluster.ts'
import { type Drill, lasting } from './drill.ts'
import type { Scene } from './scene.ts'

const crowd = Array.from({ length: 60 }, (_, index) => `crowd-${index}`)
const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata: { name: 'operator', namespace: 'default' } }

/** Every pipeline changes, again and again. */
function storm(): Pick<Drill, 'arise' | 'cease'> {
  let round = 0
  const changing = lasting([], '', 50, async ({ cluster }) => {
    round += 1
    await Promise.all(
      crowd.map((name) =>
        cluster.patch(pipelineType, 'default', name, { spec: { consumer: { annotations: { round: String(round) } } } }),
      ),
    )
  })
  return {
    async arise(scene) {
      for (const name of crowd) await scene.apply(name, { suspend: true })
      await changing.arise(scene)
    },
    cease: async (scene) => await changing.cease(scene),
  }
}

async function withRules({ cluster }: Scene, granted: readonly object[]): Promise<void> {
  await cluster.apply({ ...role, rules: granted })
}

export const operatorDrills: readonly Drill[] = [
  {
    alerts: ['StreamPipelineOperatorWriting', 'StreamPipelineOperatorQueueDeep'],
    fault: 'somebody changes sixty pipelines many times a second',
    ...storm(),
  },
  {
    alerts: ['StreamPipelineOperatorErrors'],
    fault: 'the operator may no longer write status',
    async arise(scene) {
      await withRules(
        scene,
        rules.filter(({ resources }) => !resources.includes('streampipelines/status')),
      )
    },
    cease: async (scene) => await withRules(scene, rules),
  },
]

export const leaderDrills: readonly Drill[] = [
  {
    alerts: ['StreamPipelineOperatorWithoutLeader'],
    fault: 'the only operator is stopped',
    arise: async (scene) => await scene.stopOperator(),
    cease: async (scene) => await scene.startOperator(),
  },
]
