/** The CustomResourceDefinition, a pure function of the schema. */
import { apiVersion, group, kind, plural, version } from './schema/pipeline.ts'
import { pipelineStructure, type Structure } from './structure.ts'

const singular = kind.toLowerCase()

interface Column {
  readonly name: string
  readonly type: 'string' | 'integer' | 'date'
  readonly jsonPath: string
  readonly priority?: 1
}

const columns: readonly Column[] = [
  { name: 'Mode', type: 'string', jsonPath: '.spec.mode' },
  { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
  { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason' },
  { name: 'Replicas', type: 'integer', jsonPath: '.status.replicas' },
  { name: 'Desired', type: 'integer', jsonPath: '.status.scaling.desiredReplicas' },
  { name: 'Backlog', type: 'integer', jsonPath: '.status.backlog.undelivered' },
  { name: 'Oldest', type: 'string', jsonPath: '.status.backlog.oldestAge' },
  { name: 'Dead', type: 'integer', jsonPath: '.status.backlog.deadLettered' },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  { name: 'Stream', type: 'string', jsonPath: '.spec.source.stream', priority: 1 },
  { name: 'Group', type: 'string', jsonPath: '.spec.source.group', priority: 1 },
  { name: 'Queue', type: 'string', jsonPath: '.spec.sink.bullmq.queue', priority: 1 },
]

export interface CustomResourceDefinition {
  readonly apiVersion: 'apiextensions.k8s.io/v1'
  readonly kind: 'CustomResourceDefinition'
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly group: string
    readonly scope: 'Namespaced'
    readonly names: {
      readonly kind: string
      readonly listKind: string
      readonly plural: string
      readonly singular: string
      readonly shortNames: readonly string[]
    }
    readonly versions: readonly {
      readonly name: string
      readonly served: boolean
      readonly storage: boolean
      readonly subresources: {
        readonly status: object
        readonly scale: {
          readonly specReplicasPath: string
          readonly statusReplicasPath: string
          readonly labelSelectorPath: string
        }
      }
      readonly additionalPrinterColumns: readonly Column[]
      readonly schema: { readonly openAPIV3Schema: Structure }
    }[]
  }
}

/** No category: `all` would let `delete all --all` delete pipelines. */
export function crd(): CustomResourceDefinition {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, listKind: `${kind}List`, plural, singular, shortNames: ['strp'] },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.replicas',
              statusReplicasPath: '.status.replicas',
              labelSelectorPath: '.status.selector',
            },
          },
          additionalPrinterColumns: columns,
          schema: { openAPIV3Schema: pipelineStructure() },
        },
      ],
    },
  }
}

export { apiVersion, group, kind, plural, version }
