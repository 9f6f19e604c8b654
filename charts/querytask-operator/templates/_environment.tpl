{{/* Every setting as a variable QUERYTASK_…: what the chart knows, then what the values say under `settings`. */}}
{{- define "querytask.environment" -}}
- {name: QUERYTASK_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
- {name: QUERYTASK_POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
{{- $worker := .Values.worker }}
{{- $known := dict
  "workerImage" (include "querytask.image" (dict "root" . "image" $worker.image))
  "exportsClaim" (include "querytask.exportsClaim" .)
  "historyDir" (include "querytask.historyDir" .)
  "exportsDir" "/exports"
  "reservedClaims" (include "querytask.historyClaim" .)
  "exportsAccessMode" .Values.exports.accessMode
  "operatorLabels" (include "querytask.selectorLabels" . | fromYaml)
  "workerServiceAccount" (include "querytask.workerServiceAccountName" .)
  "workerImagePullPolicy" $worker.image.pullPolicy
  "workerImagePullSecrets" (include "querytask.secretNames" $worker.imagePullSecrets)
  "workerNodeSelector" $worker.nodeSelector
  "workerTolerations" $worker.tolerations
  "workerPriorityClass" $worker.priorityClassName
  "port" 8080 }}
{{- $settings := merge $known .Values.settings }}
{{- range $name := keys $settings | sortAlpha }}
{{- $value := get $settings $name }}
{{- if or (kindIs "bool" $value) (kindIs "float64" $value) $value }}
- name: QUERYTASK_{{ snakecase $name | upper }}
  value: {{ include "querytask.setting" $value | quote }}
{{- end }}
{{- end }}
{{- end }}
