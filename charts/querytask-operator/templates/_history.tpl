{{/* Where the history is: on a claim, or in the database whose URL a Secret holds. Both containers have it alike. */}}
{{- define "querytask.historyDir" -}}
{{ ternary "" "/history" (ne .Values.history.database.existingSecret "") }}
{{- end }}

{{/* The URL is taken from the Secret by the kubelet: no program of ours reads Secrets, and no object here holds it. */}}
{{- define "querytask.historyEnvironment" -}}
{{- with .Values.history.database }}
{{- if .existingSecret }}
- name: QUERYTASK_HISTORY_URL
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .key }}}}
{{- if .caSecret }}
# For libpq, unless the URL names another file.
- {name: PGSSLROOTCERT, value: /history-ca/ca.crt}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "querytask.historyMounts" -}}
{{- with .Values.history.database }}
{{- if not .existingSecret }}
- {name: history, mountPath: /history}
{{- else if .caSecret }}
- {name: history-ca, mountPath: /history-ca, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{- define "querytask.historyVolumes" -}}
{{- if not .Values.history.database.existingSecret }}
- name: history
  persistentVolumeClaim: {claimName: {{ include "querytask.historyClaim" . }}}
{{- else if .Values.history.database.caSecret }}
- name: history-ca
  secret:
    secretName: {{ .Values.history.database.caSecret }}
    defaultMode: 0440
    items: [{key: {{ .Values.history.database.caKey }}, path: ca.crt}]
{{- end }}
{{- end }}
