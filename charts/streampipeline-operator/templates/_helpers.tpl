{{- define "streampipeline-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" -}}
{{- end }}

{{- define "streampipeline-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Release.Name (include "streampipeline-operator.name" .) -}}
{{- include "streampipeline-operator.name" . -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "streampipeline-operator.name" .) | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "streampipeline-operator.selector" -}}
app.kubernetes.io/name: {{ include "streampipeline-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "streampipeline-operator.testSelector" -}}
app.kubernetes.io/name: {{ include "streampipeline-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{- end }}

{{- define "streampipeline-operator.ownLabels" -}}
{{ include "streampipeline-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Labels and annotations of an object. The argument is a dict: root, and the labels and annotations of this object only. */ -}}
{{- define "streampipeline-operator.metadata" -}}
{{- $values := .root.Values -}}
{{- $own := fromYaml (include "streampipeline-operator.ownLabels" .root) -}}
labels:
  {{- toYaml (mergeOverwrite (dict) $values.global.commonLabels $values.commonLabels (default dict .labels) $own) | nindent 2 }}
{{- with mergeOverwrite (dict) $values.commonAnnotations (default dict .annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "streampipeline-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "streampipeline-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- /* The full name of an image. The argument is a list: one of the image groups of the values, then the root. */ -}}
{{- define "streampipeline-operator.image" -}}
{{- $image := index . 0 -}}
{{- $root := index . 1 -}}
{{- with default $image.registry $root.Values.global.imageRegistry }}{{ . }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default $root.Chart.AppVersion $image.tag }}{{ end }}
{{- end }}

{{- /* The fields of a map that hold something. */ -}}
{{- define "streampipeline-operator.filled" -}}
{{- $filled := dict -}}
{{- range $name, $value := . }}{{- if $value }}{{- $_ := set $filled $name $value }}{{- end }}{{- end }}
{{- toYaml $filled }}
{{- end }}
