{{/*
The cluster's domain, for the addresses that sidecars are told.
*/}}
{{- define "dapr_sidecar_injector.clusterDomain" -}}
{{- $own := .Values.kubeClusterDomain -}}
{{- if eq $own "cluster.local" }}{{ .Values.global.clusterDomain | default $own }}{{ else }}{{ $own }}{{ end -}}
{{- end -}}

{{/*
Environment of the injector: its own identity, then what it puts into sidecars.
*/}}
{{- define "dapr_sidecar_injector.env" -}}
- name: DAPR_TRUST_ANCHORS_FILE
  value: /var/run/secrets/dapr.io/tls/ca.crt
- name: DAPR_CONTROL_PLANE_TRUST_DOMAIN
  value: {{ .Values.global.mtls.controlPlaneTrustDomain | quote }}
- name: DAPR_SENTRY_ADDRESS
  value: {{ include "dapr.sentryAddress" . | quote }}
{{- include "dapr.extraEnv" . }}
{{- with include "dapr_sidecar_injector.clusterDomain" . }}
- name: KUBE_CLUSTER_DOMAIN
  value: {{ . | quote }}
{{- end }}
- name: SIDECAR_IMAGE
  value: {{ include "dapr.image" (dict "root" . "name" .Values.image.name) | quote }}
- name: SIDECAR_IMAGE_PULL_POLICY
  value: {{ .Values.sidecarImagePullPolicy | quote }}
- name: SIDECAR_RUN_AS_NON_ROOT
  value: {{ .Values.sidecarRunAsNonRoot | toString | quote }}
{{- if gt (int .Values.sidecarRunAsUser) 0 }}
- name: SIDECAR_RUN_AS_USER
  value: {{ .Values.sidecarRunAsUser | toString | quote }}
{{- end }}
{{- if gt (int .Values.sidecarRunAsGroup) 0 }}
- name: SIDECAR_RUN_AS_GROUP
  value: {{ .Values.sidecarRunAsGroup | toString | quote }}
{{- end }}
- name: ENABLE_K8S_DOWNWARD_APIS
  value: {{ .Values.enableK8sDownwardAPIs | toString | quote }}
- name: SIDECAR_DROP_ALL_CAPABILITIES
  value: {{ .Values.sidecarDropALLCapabilities | toString | quote }}
- name: SIDECAR_READ_ONLY_ROOT_FILESYSTEM
  value: {{ .Values.sidecarReadOnlyRootFilesystem | toString | quote }}
- name: NATIVE_SIDECAR_ENABLED
  value: {{ .Values.nativeSidecar | toString | quote }}
- name: SIDECAR_PROFILE
  value: {{ .Values.sidecarProfile | quote }}
{{- with .Values.sidecarRequests.cpu }}
- name: SIDECAR_CPU_REQUEST
  value: {{ . | toString | quote }}
{{- end }}
{{- with .Values.sidecarRequests.memory }}
- name: SIDECAR_MEMORY_REQUEST
  value: {{ . | toString | quote }}
{{- end }}
- name: EVENTS_ENABLED
  value: {{ .Values.events | toString | quote }}
{{- if .Values.global.rbac.namespaced }}
- name: WATCH_NAMESPACE
  value: {{ .Release.Namespace | quote }}
{{- end }}
{{ include "dapr.namespaceEnv" . }}
{{- with .Values.ignoreEntrypointTolerations }}
- name: IGNORE_ENTRYPOINT_TOLERATIONS
  value: {{ . | quote }}
{{- end }}
- name: ACTORS_ENABLED
  value: {{ .Values.global.actors.enabled | toString | quote }}
- name: ACTORS_SERVICE_NAME
  value: {{ .Values.global.actors.serviceName | quote }}
- name: ACTORS_SERVICE_ADDRESS
  value: {{ include (print "address." .Values.global.actors.serviceName) . | quote }}
{{- with .Values.global.reminders.serviceName }}
- name: REMINDERS_SERVICE_NAME
  value: {{ . | quote }}
- name: REMINDERS_SERVICE_ADDRESS
  value: {{ include (print "address." .) $ | quote }}
{{- end }}
{{- with .Values.allowedServiceAccounts }}
- name: ALLOWED_SERVICE_ACCOUNTS
  value: {{ . | quote }}
{{- end }}
{{- with .Values.allowedServiceAccountsPrefixNames }}
- name: ALLOWED_SERVICE_ACCOUNTS_PREFIX_NAMES
  value: {{ . | quote }}
{{- end }}
{{- end -}}
