{{/* The API: its container, its volumes, its variables. The objects beside the pod are in api.yaml. */}}
{{- define "querytask.apiName" -}}
{{ include "querytask.fullname" . }}-api
{{- end }}

{{- define "querytask.apiSecret" -}}
{{- default (printf "%s-tls" (include "querytask.apiName" .)) .Values.api.tls.existingSecret }}
{{- end }}

{{- define "querytask.apiContainer" -}}
- name: api
  image: {{ include "querytask.image" (dict "root" . "image" .Values.image) }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [python3, -m, querytask.web]
  env:
    {{- include "querytask.apiEnvironment" . | nindent 4 }}
    {{- include "querytask.historyEnvironment" . | nindent 4 }}
  ports:
    - name: api
      containerPort: 8443
    # Callers cannot take the probes' connections; for the Service and the network policy it is not there.
    - name: api-health
      containerPort: 8444
  # A history that is away answers 503, which a restart does not mend.
  livenessProbe:
    httpGet: {path: /healthz, port: api-health}
    initialDelaySeconds: 10
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    httpGet: {path: /healthz/ready, port: api-health}
    initialDelaySeconds: 5
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 2
  {{- with .Values.api.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities:
      drop: [ALL]
  volumeMounts:
    # It writes only its own tables; the operator alone makes and changes the schema.
    {{- include "querytask.historyMounts" . | nindent 4 }}
    - {name: exports, mountPath: /exports, readOnly: true}
    - {name: api-tmp, mountPath: /tmp}
    - {name: cluster-ca, mountPath: /cluster-ca, readOnly: true}
    {{- if .Values.api.tls.enabled }}
    - {name: tls, mountPath: /tls, readOnly: true}
    {{- end }}
{{- end }}

{{- define "querytask.apiVolumes" -}}
- name: api-tmp
  emptyDir: {sizeLimit: 64Mi}
- name: cluster-ca
  configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
{{- if .Values.api.tls.enabled }}
- name: tls
  secret:
    secretName: {{ include "querytask.apiSecret" . }}
    defaultMode: 0440
    items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
{{- end }}
{{- end }}

{{/* Every setting of the API as a variable. Those that only the API has are called QUERYTASK_API_…. */}}
{{- define "querytask.apiEnvironment" -}}
- {name: QUERYTASK_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
{{- $known := dict
  "historyDir" (include "querytask.historyDir" .)
  "exportsDir" "/exports"
  "clusterCa" "/cluster-ca/ca.crt"
  "apiPort" 8443
  "apiHealthPort" 8444
  "apiTls" (ternary "On" "Off" .Values.api.tls.enabled)
  "apiCertificate" "/tls/tls.crt"
  "apiKey" "/tls/tls.key" }}
{{- range $name, $value := .Values.api.settings }}
{{- $shared := has $name (list "clusterSeconds" "decisionSeconds" "logLevel") }}
{{- $_ := set $known (ternary $name (printf "api%s" (title $name)) $shared) $value }}
{{- end }}
{{- range $name := keys $known | sortAlpha }}
{{- with include "querytask.setting" (get $known $name) }}
- name: QUERYTASK_{{ snakecase $name | upper }}
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
