/** The limits in the chart: flags for the operator, and a ValidatingAdmissionPolicy of the same rules (operator/policy). */
import { listLimits } from '../../operator/limits.ts'
import { listVariable, type PolicyRule, partVariables, policyRules, sentenceOf } from '../../operator/policy/rules.ts'

const include = (name: string) => `{{- define "streampipeline-operator.${name}" -}}\n`
const valueAt = (name: string) => `.Values.tenancy.${name}`
const isSet = (name: string) => `(not (kindIs "invalid" ${valueAt(name)}))`
/** A CEL literal: JSON's lists and texts are CEL's too. */
const literal = (name: string) => `{{ ${valueAt(name)} | default list | toJson }}`

/** Arguments of the operator's container. */
export function limitFlags(): string {
  const lists = listLimits.map(
    ({ value, flag }) =>
      `{{- if ${isSet(value)} }}\n- {{ printf "${flag}=%s" (join "," ${valueAt(value)}) | quote }}\n{{- end }}\n`,
  )
  return [
    include('limitFlags'),
    `- --local-redis={{ ${valueAt('localRedis')} }}\n`,
    ...lists,
    `{{- if ${valueAt('restrictedPods')} }}\n- --restricted-pods\n{{- end }}\n`,
    `{{- with ${valueAt('secretLabel')} }}\n- {{ printf "--secret-label=%s" . | quote }}\n{{- end }}\n`,
    `{{- if ${valueAt('manyTeams')} }}\n- --many-teams\n{{- end }}\n`,
    '{{- end }}\n',
  ].join('')
}

/** Text in YAML's literal block, where nothing is escaped. */
const block = (text: string, indent: string) => `|-\n${indent}${text.replaceAll('{{', '{{ "{{" }}')}`

function variable(name: string, expression: string): string {
  return `    - name: ${name}\n      expression: |-\n        ${expression}\n`
}

function variables(): string {
  const lists = listLimits.map(({ value }) => {
    const filled = value === 'redisHosts' ? ".map(p, p.replace('{namespace}', object.metadata.namespace))" : ''
    return variable(listVariable[value], `${literal(value)}${filled}`)
  })
  return [
    variable('operatorNamespace', "'{{ .Release.Namespace }}'"),
    ...lists,
    variable('networksLimited', `{{ ${isSet('redisNetworks')} }}`),
    ...partVariables.map(({ name, expression }) => variable(name, expression)),
  ].join('')
}

/** When the rule is part of the policy; undefined: always. */
function conditionOf({ limit }: PolicyRule): string | undefined {
  switch (limit) {
    case 'signingSecret':
      return undefined
    case 'restrictedPods':
      return valueAt('restrictedPods')
    case 'localRedis':
      return `(eq ${valueAt('localRedis')} "refuse")`
    default:
      return isSet(limit)
  }
}

function validation(rule: PolicyRule): string {
  const sentence = sentenceOf(rule)
  const list = rule.list && `variables.${listVariable[rule.list]}`
  const items = list && `${JSON.stringify(`${sentence} `)} + (size(${list}) == 0 ? 'none' : ${list}.join(', '))`
  const lines = [
    `    - expression: ${block(rule.expression, '        ')}\n`,
    `      message: ${JSON.stringify(sentence)}\n`,
    ...(items === undefined ? [] : [`      messageExpression: ${block(items, '        ')}\n`]),
    '      reason: Forbidden\n',
  ].join('')
  const condition = conditionOf(rule)
  return condition === undefined ? lines : `    {{- if ${condition} }}\n${lines}    {{- end }}\n`
}

/** With `tenancy.admission`, once a limit is set. */
export function admissionTemplate(): string {
  const anyLimit = [...listLimits.map(({ value }) => isSet(value)), valueAt('restrictedPods')].join(' ')
  return `{{- if and .Values.tenancy.admission (or ${anyLimit}) }}
{{- $global := printf "%s-%s" .Release.Namespace (include "streampipeline-operator.fullname" .) }}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ $global }}-limits
  {{- include "streampipeline-operator.metadata" (dict "root" .) | nindent 2 }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [streampipeline.dev]
        apiVersions: ['*']
        operations: [CREATE, UPDATE]
        resources: [streampipelines]
        scope: '*'
  matchConditions:
    # Labels, annotations and finalizers of a pipeline that is older than a limit may still change.
    - name: spec-changes
      expression: request.operation == 'CREATE' || object.spec != oldObject.spec
  variables:
${variables()}  validations:
${policyRules.map(validation).join('')}---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $global }}-limits
  {{- include "streampipeline-operator.metadata" (dict "root" .) | nindent 2 }}
spec:
  policyName: {{ $global }}-limits
  validationActions: [Deny]
  {{- with .Values.namespaces }}
  matchResources:
    namespaceSelector:
      matchExpressions:
        - key: kubernetes.io/metadata.name
          operator: In
          values:
            {{- toYaml . | nindent 12 }}
  {{- end }}
{{- end }}
`
}
