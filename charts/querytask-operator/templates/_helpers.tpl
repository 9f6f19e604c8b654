{{/* Names. A StatefulSet's pods carry its name in a label with a suffix, hence 52 characters and not 63. */}}
{{- define "querytask.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "querytask.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "querytask.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "querytask.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "querytask.serviceAccountName" -}}
{{- default (ternary (include "querytask.fullname" .) "" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "querytask.workerServiceAccountName" -}}
{{- $made := printf "%s-worker" (include "querytask.fullname" .) }}
{{- default (ternary $made "" .Values.worker.serviceAccount.create) .Values.worker.serviceAccount.name }}
{{- end }}

{{- define "querytask.exportsClaim" -}}
{{- default (printf "%s-exports" (include "querytask.fullname" .)) .Values.exports.existingClaim }}
{{- end }}

{{- define "querytask.historyClaim" -}}
{{- default (printf "%s-history" (include "querytask.fullname" .)) .Values.history.existingClaim }}
{{- end }}

{{/* What selects the operator's pod. These never change: a StatefulSet's selector cannot. */}}
{{- define "querytask.selectorLabels" -}}
app.kubernetes.io/name: {{ include "querytask.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "querytask.labels" -}}
{{ include "querytask.selectorLabels" . }}
app.kubernetes.io/part-of: querytask
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "querytask.metadata" -}}
labels:
  {{- include "querytask.labels" .root | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* repository@digest, or repository:tag. */}}
{{- define "querytask.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .root.Chart.AppVersion .image.tag }}
{{- end }}
{{- end }}

{{/* storageClassName, absent for the default class. */}}
{{- define "querytask.storageClass" -}}
{{- if eq . "-" -}}
storageClassName: ""
{{- else if . -}}
storageClassName: {{ . | quote }}
{{- end }}
{{- end }}

{{/* One setting as text. Numbers of a values file are floating: a whole one must not become 2.592e+06. */}}
{{- define "querytask.setting" -}}
{{- if or (kindIs "map" .) (kindIs "slice" .) -}}
{{ toJson . }}
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end }}
{{- end }}

{{/* Names of pull secrets, separated by commas. */}}
{{- define "querytask.secretNames" -}}
{{- $names := list }}
{{- range . }}{{ $names = append $names .name }}{{ end }}
{{- join "," $names }}
{{- end }}
