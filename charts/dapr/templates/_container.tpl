{{/*
An image reference. Takes dict "root" and "name": a name with a slash is used as it is.
*/}}
{{- define "dapr.image" -}}
{{- if contains "/" .name -}}
{{ .name }}
{{- else -}}
{{ .root.Values.global.registry }}/{{ .name }}:{{ .root.Values.global.tag }}
{{- end -}}
{{- end -}}

{{/*
Liveness and readiness. Takes dict "root" and "port". Debug mode gives a person time to attach.
*/}}
{{- define "dapr.probes" -}}
{{- range $kind := list "livenessProbe" "readinessProbe" }}
{{- $probe := get $.root.Values $kind }}
{{ $kind }}:
  httpGet:
    path: /healthz
    port: {{ $.port }}
  initialDelaySeconds: {{ $probe.initialDelaySeconds }}
  periodSeconds: {{ $probe.periodSeconds }}
  failureThreshold: {{ $probe.failureThreshold }}
{{- end }}
{{- end -}}

{{/*
What a control-plane container may do: nothing beyond its own process. Takes dict "root", "runAsNonRoot".
*/}}
{{- define "dapr.securityContext" -}}
{{- if eq .root.Values.global.daprControlPlaneOs "linux" }}
securityContext:
  runAsNonRoot: {{ .runAsNonRoot }}
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: ["ALL"]
  {{- with .root.Values.global.seccompProfile }}
  seccompProfile:
    type: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/*
Arguments about logging and metrics.
*/}}
{{- define "dapr.logArgs" -}}
- "--log-level"
- {{ .Values.logLevel | quote }}
{{- if .Values.global.logAsJson }}
- "--log-as-json"
{{- end }}
{{- end -}}

{{- define "dapr.metricsArgs" -}}
{{- if .Values.global.prometheus.enabled }}
- "--enable-metrics"
- "--metrics-port"
- {{ .Values.global.prometheus.port | quote }}
{{- if has "IPv6" .Values.global.ipFamilies }}
- "--metrics-listen-address=" # every interface; without it, those of IPv4
{{- end }}
{{- else }}
- "--enable-metrics=false"
{{- end }}
{{- end -}}

{{- define "dapr.metricsContainerPort" -}}
{{- if .Values.global.prometheus.enabled }}
- name: metrics
  containerPort: {{ .Values.global.prometheus.port }}
  protocol: TCP
{{- end }}
{{- end -}}

{{- define "dapr.metricsServicePort" -}}
{{- if .Values.global.prometheus.enabled }}
- name: metrics
  port: {{ .Values.global.prometheus.port }}
  targetPort: {{ .Values.global.prometheus.port }}
  protocol: TCP
  appProtocol: http
{{- end }}
{{- end -}}

{{/*
IP families of a Service; nothing leaves them to the cluster.
*/}}
{{- define "dapr.ipFamilies" -}}
{{- with .Values.global.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.global.ipFamilies }}
ipFamilies: {{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}

{{- define "dapr.namespaceEnv" -}}
- name: NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- end -}}

{{- define "dapr.extraEnv" -}}
{{- range $name, $value := .Values.extraEnvVars }}
- name: {{ $name | quote }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{/*
Where the control plane finds sentry.
*/}}
{{- define "dapr.sentryAddress" -}}
{{- $domain := .Values.global.clusterDomain | default "cluster.local" -}}
{{- .Values.global.mtls.sentryAddress | default (printf "dapr-sentry.%s.svc.%s:443" .Release.Namespace $domain) -}}
{{- end -}}

{{/*
What follows the name of a Service and `svc`, with the dot before it.
*/}}
{{- define "dapr.dnsSuffix" -}}
{{- $own := .Values.global.dnsSuffix -}}
{{- if and .Values.global.clusterDomain (eq $own ".cluster.local") }}.{{ .Values.global.clusterDomain }}{{ else }}{{ $own }}{{ end -}}
{{- end -}}

{{/*
What a service reserves and is limited to. Takes dict "root" and "service", a key of global.defaultResources.
*/}}
{{- define "dapr.resources" -}}
{{- $defaults := .root.Values.global.defaultResources -}}
{{- $resources := .root.Values.resources -}}
{{- if and $defaults.enabled (not $resources) }}{{ $resources = get $defaults .service }}{{ end -}}
resources: {{- toYaml $resources | nindent 2 }}
{{- end -}}
