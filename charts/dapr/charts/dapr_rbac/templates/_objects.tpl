{{/*
A service account. Takes dict "root", "name" and "annotations".
*/}}
{{- define "dapr_rbac.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  {{- with .annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
  labels: {{- include "dapr.labels" .root | indent 4 }}
{{- end -}}

{{/*
A role and who has it. Takes dict "root", "name", "account", "rules" (a template's name) and "kind": ClusterRole, or Role
for the release's own namespace. Nothing for what is the cluster's, if somebody else makes that.
*/}}
{{- define "dapr_rbac.role" -}}
{{- if or (eq .kind "Role") .root.Values.global.rbac.clusterObjects }}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  name: {{ .name }}
  {{- if eq .kind "Role" }}
  namespace: {{ .root.Release.Namespace }}
  {{- end }}
  labels: {{- include "dapr.labels" .root | indent 4 }}
rules: {{- include .rules .root | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  name: {{ .name }}
  {{- if eq .kind "Role" }}
  namespace: {{ .root.Release.Namespace }}
  {{- end }}
  labels: {{- include "dapr.labels" .root | indent 4 }}
subjects:
- kind: ServiceAccount
  name: {{ .account }}
  namespace: {{ .root.Release.Namespace }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
{{- end }}
{{- end -}}

{{- define "dapr_rbac.noRules" -}}
[]
{{- end -}}

{{/*
Role, if the control plane sees its own namespace only, else ClusterRole.
*/}}
{{- define "dapr_rbac.kind" -}}
{{- if .Values.global.rbac.namespaced }}Role{{ else }}ClusterRole{{ end -}}
{{- end -}}
