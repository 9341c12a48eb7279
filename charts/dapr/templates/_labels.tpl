{{/*
Labels of every object. The values of global.k8sLabels are templates; `.Values.component` in them is the sub-chart's.
*/}}
{{- define "dapr.labels" -}}
{{- range $key, $value := .Values.global.k8sLabels }}
{{ $key }}: {{ tpl $value $ | quote }}
{{- end }}
{{- end -}}

{{/*
Labels of a pod. Takes dict "root" (the sub-chart's context) and "app" (the workload's name).
*/}}
{{- define "dapr.podLabels" -}}
app: {{ .app }}
{{- include "dapr.labels" .root }}
{{- with .root.Values.global.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
Annotations of a pod. Takes dict "root", "service" (what sentry knows the service as) and "annotations" (the user's own).
*/}}
{{- define "dapr.podAnnotations" -}}
dapr.io/control-plane: {{ .service }}
{{- include "dapr.prometheusAnnotations" .root }}
{{- with .annotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
What makes Prometheus scrape a pod or service.
*/}}
{{- define "dapr.prometheusAnnotations" -}}
{{- if .Values.global.prometheus.enabled }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .Values.global.prometheus.port | quote }}
prometheus.io/path: "/"
{{- end }}
{{- end -}}

{{/*
Annotations of a service with metrics, key included; nothing if there are none. Takes dict "root" and "annotations".
*/}}
{{- define "dapr.serviceAnnotations" -}}
{{- if or .annotations .root.Values.global.prometheus.enabled }}
annotations:
{{- include "dapr.prometheusAnnotations" .root | indent 2 }}
{{- with .annotations }}
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}
{{- end -}}
