/** The simulated cluster of one run: everything beside the operator, and what was true of it at each moment. */

import type { StreamPipelineStatus } from '../../../api/status.ts'
import { statusFailure } from '../../../operator/kubernetes/errors.ts'
import { type ApiServer, createApiServer, type Request, type Stored } from './apiserver.ts'
import { createDeployments, type DeploymentSpec, type DeploymentStatus, type Deployments, templateOf } from './deployments.ts'
import { createPods, type Pods, type PodTruth } from './pods.ts'
import { createRedisWorld, type HeartbeatsRead, type LookTruth, type RedisWorld, type ServerTruth } from './redis.ts'
import { createTime, type Time } from './time.ts'

export const namespace = 'farm'
export const name = 'ndvi'
export const key = `${namespace}/${name}`
export const deploymentKey = `${key}-consumer`
export const secretKey = `${namespace}/creds`

export type Rollout = 'Done' | 'Waiting' | 'Failed'

/** One moment. */
export interface Truth {
  readonly atMs: number
  readonly pipeline: Stored | undefined
  readonly deployment: Stored | undefined
  readonly children: Readonly<Record<'config' | 'dispatch' | 'account' | 'budget', Stored | undefined>>
  readonly secret: boolean
  readonly refusal: Refusal | undefined
  readonly pods: readonly PodTruth[]
  readonly servers: ReadonlyMap<string, ServerTruth>
  /** As a `kubectl rollout status` that remembers the last finished rollout: growth by scaling is no rollout. */
  readonly rollout: Rollout
  /** As a fresh `kubectl rollout status` reports it: growth counts, too. */
  readonly isRolling: boolean
}

export interface Refusal {
  readonly kind: 'Quota' | 'Rights'
  readonly plural: string
}

/** A refused write of a child. */
export interface RefusedWrite {
  readonly atMs: number
  readonly plural: string
  readonly kind: Refusal['kind'] | 'Misspelt'
}

/** A status as the operator sent it. */
export interface SentStatus {
  readonly atMs: number
  readonly status: StreamPipelineStatus
  /** The status before it, at the server. */
  readonly before: StreamPipelineStatus | undefined
  /** Of the pipeline that it is meant for: the API server refuses it for another one of the same name. */
  readonly uid: string | undefined
}

export interface World {
  readonly time: Time
  readonly random: () => number
  readonly api: ApiServer
  readonly pods: Pods
  readonly deployments: Deployments
  readonly redis: RedisWorld
  refusal: Refusal | undefined
  /** Entries added each second. */
  load: number
  now(): Truth
  /** Every state between these times. */
  during(fromMs: number, toMs: number): readonly Truth[]
  readonly looks: readonly LookTruth[]
  readonly heartbeats: readonly HeartbeatsRead[]
  readonly refused: readonly RefusedWrite[]
  readonly sent: SentStatus[]
}

/** @param onStatus called for each status when it leaves the operator */
export function createWorld(random: () => number, onStatus: (sent: SentStatus) => void): World {
  const time = createTime()
  const truths: Truth[] = []
  const looks: LookTruth[] = []
  const heartbeats: HeartbeatsRead[] = []
  const refused: RefusedWrite[] = []
  const sent: SentStatus[] = []
  const rollouts = createRollouts()
  let refusal: Refusal | undefined

  function admit(request: Request): void {
    const { plural, subresource, body } = request
    if (subresource !== '' || plural === 'events') return
    const isMisspelt = plural === 'deployments' && JSON.stringify(body ?? null).includes('nodeAfinity')
    if (isMisspelt) {
      refused.push({ atMs: time.nowMs, plural, kind: 'Misspelt' })
      if (request.query['dryRun'] !== undefined)
        throw statusFailure(400, { code: 400, message: 'strict decoding error: unknown field "nodeAfinity"' }, plural)
      throw statusFailure(
        500,
        { code: 500, message: 'failed to create typed patch object: field not declared in schema' },
        plural,
      )
    }
    if (refusal?.plural !== plural || request.query['dryRun'] !== undefined) return
    refused.push({ atMs: time.nowMs, plural, kind: refusal.kind })
    throw statusFailure(
      403,
      { code: 403, reason: 'Forbidden', message: refusal.kind === 'Quota' ? 'exceeded quota' : 'User cannot patch' },
      plural,
    )
  }

  const api: ApiServer = createApiServer({
    time,
    random,
    admit,
    mayWrite: () => refusal?.kind !== 'Rights',
    onSent({ plural, subresource, body }) {
      if (plural !== 'streampipelines' || subresource !== 'status') return
      const { status, metadata } = body as Stored
      const live = api.get('streampipelines', key)
      const one = {
        atMs: time.nowMs,
        status: status as StreamPipelineStatus,
        before: live?.status as StreamPipelineStatus | undefined,
        uid: metadata.uid,
      }
      sent.push(one)
      onStatus(one)
    },
    onChange(plural, object, before) {
      record()
      if (plural === 'deployments' || plural === 'pods') world.deployments.touch(deploymentKey)
      if (plural === 'streampipelines' && object === undefined) collect(before?.metadata.uid ?? '')
    },
  })
  const pods = createPods({
    time,
    random,
    api,
    onChange() {
      record()
      deployments.touch(deploymentKey)
    },
    configOf: () => api.get('configmaps', deploymentKey)?.data?.['pipeline.yaml'],
  })
  const deployments = createDeployments({ time, random, api, pods })
  const redis = createRedisWorld({
    time,
    random,
    onChange: record,
    onLook: (look) => void looks.push(look),
    onHeartbeats: (read) => void heartbeats.push(read),
  })

  function record(): void {
    const atMs = time.nowMs
    const deployment = api.get('deployments', deploymentKey)
    const truth: Truth = {
      atMs,
      pipeline: api.get('streampipelines', key),
      deployment,
      children: {
        config: api.get('configmaps', deploymentKey),
        dispatch: api.get('configmaps', `${key}-dispatch`),
        account: api.get('serviceaccounts', deploymentKey),
        budget: api.get('poddisruptionbudgets', deploymentKey),
      },
      secret: api.get('secrets', secretKey) !== undefined,
      refusal,
      pods: pods.list(),
      servers: redis.all(),
      rollout: rollouts(deployment),
      isRolling: deployment === undefined || !isRolledOut(deployment),
    }
    if (truths.at(-1)?.atMs === atMs) truths.pop()
    truths.push(truth)
  }

  /** The garbage collector removes what a deleted pipeline owned. */
  function collect(uid: string): void {
    time.at(300 + 2_000 * random(), () => {
      for (const plural of ['deployments', 'configmaps', 'serviceaccounts', 'poddisruptionbudgets'])
        for (const { metadata } of api.list(plural))
          if (metadata.ownerReferences?.some((owner) => owner.uid === uid) === true)
            api.remove(plural, `${metadata.namespace}/${metadata.name}`)
    })
  }

  const world: World = {
    time,
    random,
    api,
    pods,
    deployments,
    redis,
    get refusal() {
      return refusal
    },
    set refusal(next) {
      refusal = next
      record()
    },
    load: 0,
    now() {
      record()
      return truths.at(-1) as Truth
    },
    during(fromMs, toMs) {
      const first = truths.findLastIndex(({ atMs }) => atMs <= fromMs)
      return truths.slice(Math.max(0, first)).filter(({ atMs }) => atMs <= toMs)
    },
    looks,
    heartbeats,
    refused,
    sent,
  }
  return world
}

/** `kubectl rollout status`, which remembers a template that was rolled out: scaling it is no rollout. */
function createRollouts(): (deployment: Stored | undefined) => Rollout {
  let template = ''
  let written = 0
  /** The template that the controller took up last, and whether it was rolled out. */
  let taken = ''
  let done = false
  return (deployment) => {
    if (deployment === undefined) return 'Waiting'
    const { generation = 0, uid = '' } = deployment.metadata
    const now = `${uid} ${templateOf(deployment)}`
    if (now !== template) [template, written] = [now, generation]
    const { replicas = 1 } = deployment.spec as DeploymentSpec
    const { observedGeneration = 0, ...status } = (deployment.status ?? {}) as DeploymentStatus
    const { replicas: all = 0, updatedReplicas = 0 } = status
    if (observedGeneration < written) return 'Waiting'
    if (now !== taken) [taken, done] = [now, false]
    if (all > updatedReplicas) return late(status)
    if (replicas === 0 && all === 0) done = true
    if (isRolledOut(deployment)) done = true
    return done ? 'Done' : late(status)
  }
}

function isRolledOut({ metadata, spec, status }: Stored): boolean {
  const { replicas = 1 } = spec as DeploymentSpec
  const {
    observedGeneration = 0,
    replicas: all = 0,
    updatedReplicas = 0,
    availableReplicas = 0,
  } = (status ?? {}) as DeploymentStatus
  return (
    observedGeneration >= (metadata.generation ?? 0) &&
    updatedReplicas >= replicas &&
    all <= updatedReplicas &&
    availableReplicas >= updatedReplicas
  )
}

function late({ conditions }: DeploymentStatus): Rollout {
  return conditions?.some(({ reason }) => reason === 'ProgressDeadlineExceeded') === true ? 'Failed' : 'Waiting'
}
