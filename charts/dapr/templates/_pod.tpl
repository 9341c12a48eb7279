{{/*
Replicas of a stateless service.
*/}}
{{- define "dapr.replicas" -}}
{{- if .Values.global.ha.enabled }}{{ .Values.global.ha.replicaCount }}{{ else }}{{ .Values.replicaCount }}{{ end -}}
{{- end -}}

{{/*
Mounts and volumes of a service's identity: the trust anchors that sentry publishes, and the token to show to sentry.

The key is named so that a pod waits, outside, until sentry has published the anchors. An unnamed key would mount an
empty folder on a fresh install, which the kubelet fills only at its next sync, a minute later.
*/}}
{{- define "dapr.identityMounts" -}}
- name: dapr-trust-bundle
  mountPath: /var/run/secrets/dapr.io/tls
  readOnly: true
{{- if .Values.global.mtls.mountSentryVolume }}
- name: dapr-identity-token
  mountPath: /var/run/secrets/dapr.io/sentrytoken
  readOnly: true
{{- end }}
{{- end -}}

{{- define "dapr.identityVolumes" -}}
- name: dapr-trust-bundle
  configMap:
    name: dapr-trust-bundle
    items:
    - key: ca.crt
      path: ca.crt
{{- if .Values.global.mtls.mountSentryVolume }}
- name: dapr-identity-token
  projected:
    sources:
    - serviceAccountToken:
        path: token
        expirationSeconds: 600
        audience: "spiffe://{{ .Values.global.mtls.controlPlaneTrustDomain }}/ns/{{ .Release.Namespace }}/dapr-sentry"
{{- end }}
{{- end -}}

{{/*
Where pods may run. Takes dict "root", "app" and "spread" (whether replicas keep apart).
*/}}
{{- define "dapr.scheduling" -}}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
      - matchExpressions:
        - key: kubernetes.io/os
          operator: In
          values:
          - {{ .root.Values.global.daprControlPlaneOs }}
        {{- with .root.Values.global.daprControlPlaneArch }}
        - key: kubernetes.io/arch
          operator: In
          values:
          - {{ . }}
        {{- end }}
{{- if .spread }}
  podAntiAffinity: {{- include "dapr.antiAffinity" . | nindent 4 }}
{{- end }}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets: {{- include "dapr.imagePullSecrets" (dict "imagePullSecrets" .) | nindent 0 }}
{{- end }}
{{- with .root.Values.global.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.global.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with .root.Values.global.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.global.topologySpreadConstraints }}
topologySpreadConstraints:
{{- range $constraint := . }}
{{- if not (hasKey $constraint "labelSelector") }}
{{- $constraint = merge (dict "labelSelector" (dict "matchLabels" (dict "app" $.app))) $constraint }}
{{- end }}
{{- toYaml (list $constraint) | nindent 0 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "dapr.antiAffinity" -}}
{{- $preferred := "preferredDuringSchedulingIgnoredDuringExecution" -}}
{{- $required := "requiredDuringSchedulingIgnoredDuringExecution" -}}
{{- $policy := .root.Values.global.ha.podAntiAffinityPolicy -}}
{{- if eq $policy $preferred -}}
{{ $preferred }}:
- weight: 100
  podAffinityTerm: {{- include "dapr.antiAffinityTerm" . | nindent 4 }}
{{- else if eq $policy $required -}}
{{ $required }}:
- {{- include "dapr.antiAffinityTerm" . | nindent 2 }}
{{- else -}}
{{- fail (printf "global.ha.podAntiAffinityPolicy must be either '%s' or '%s'" $preferred $required) -}}
{{- end -}}
{{- end -}}

{{- define "dapr.antiAffinityTerm" -}}
labelSelector:
  matchExpressions:
  - key: app
    operator: In
    values:
    - {{ .app }}
topologyKey: {{ .root.Values.global.ha.topologyKey }}
{{- end -}}

{{/*
Pull secrets as a list of {name}: from one string, a list of strings, or a list of {name}.
*/}}
{{- define "dapr.imagePullSecrets" -}}
{{- if kindIs "string" .imagePullSecrets -}}
- name: {{ .imagePullSecrets }}
{{- else -}}
{{- range $index, $secret := .imagePullSecrets }}
{{- if $index }}
{{ end -}}
- name: {{ if kindIs "map" $secret }}{{ $secret.name }}{{ else }}{{ $secret }}{{ end }}
{{- end }}
{{- end -}}
{{- end -}}

{{/*
A disruption budget. Takes dict "root", "app" and "name". The API takes only one of the two bounds: the minimum wins.
*/}}
{{- define "dapr.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    app: {{ .app }}
    {{- include "dapr.labels" .root | indent 4 }}
spec:
  {{- if .root.Values.global.ha.disruption.minimumAvailable }}
  minAvailable: {{ .root.Values.global.ha.disruption.minimumAvailable }}
  {{- else if .root.Values.global.ha.disruption.maximumUnavailable }}
  maxUnavailable: {{ .root.Values.global.ha.disruption.maximumUnavailable }}
  {{- end }}
  selector:
    matchLabels: {{- include "dapr.podLabels" . | nindent 6 }}
{{- end -}}
