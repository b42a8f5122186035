/** Platforms that cannot run here, played by their rules: admission policies, which every API server since 1.36 has built in. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { findAssets } from '../../support/assets.ts'

const assets = await findAssets(process.env)

function minorOf(folder: string): number {
  const text = execFileSync(join(folder, 'kube-apiserver'), ['--version'], { encoding: 'utf8' })
  return Number(/v1\.(\d+)/.exec(text)?.[1])
}

/** Of tests whose platform rewrites what is written. */
export const needsMutatingPolicies: { skip: string | false } = {
  skip:
    assets.kind === 'Found' && minorOf(assets.folder) < 36 && 'this API server is older than 1.36: it has no mutating policies',
}

export const group = 'admissionregistration.k8s.io'

export interface Rule {
  readonly name: string
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly operations: readonly ('CREATE' | 'UPDATE')[]
  /** Where it holds. */
  readonly namespaces: object
}

const constraintsOf = ({ apiGroups, resources, operations, namespaces }: Rule): object => ({
  namespaceSelector: namespaces,
  resourceRules: [{ apiGroups, apiVersions: ['v1'], operations, resources }],
})

const named = (kind: string, name: string, spec: object): object => ({
  apiVersion: `${group}/v1`,
  kind,
  metadata: { name },
  spec,
})

/** @param changes CEL expressions of the fields to apply, or of a list of JSON patches if they begin with `[` */
export function mutating(rule: Rule, changes: readonly string[], more: object = {}): readonly object[] {
  const mutations = changes.map((expression) =>
    expression.startsWith('[')
      ? { patchType: 'JSONPatch', jsonPatch: { expression } }
      : { patchType: 'ApplyConfiguration', applyConfiguration: { expression } },
  )
  const matchConstraints = constraintsOf(rule)
  return [
    named('MutatingAdmissionPolicy', rule.name, {
      failurePolicy: 'Fail',
      reinvocationPolicy: 'Never',
      matchConstraints,
      ...more,
      mutations,
    }),
    named('MutatingAdmissionPolicyBinding', rule.name, { policyName: rule.name }),
  ]
}

export function validating(
  rule: Rule,
  validations: readonly { readonly expression: string; readonly message: string }[],
  more: object = {},
): readonly object[] {
  const matchConstraints = constraintsOf(rule)
  return [
    named('ValidatingAdmissionPolicy', rule.name, { failurePolicy: 'Fail', matchConstraints, ...more, validations }),
    named('ValidatingAdmissionPolicyBinding', rule.name, { policyName: rule.name, validationActions: ['Deny'] }),
  ]
}

/** Namespaces with this label stand on the platform. */
export const platformLabel = 'test.streampipeline.dev/platform'
export const on = (platform: string): object => ({ matchLabels: { [platformLabel]: platform } })
