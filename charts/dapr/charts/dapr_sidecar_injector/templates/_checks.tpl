{{/*
Refuses user ids that contradict sidecarRunAsNonRoot.
*/}}
{{- define "dapr_sidecar_injector.checks" -}}
{{- if and (not .Values.sidecarRunAsNonRoot) (ne (int .Values.sidecarRunAsUser) 0) -}}
{{- fail "dapr_sidecar_injector.sidecarRunAsUser must be 0 or left out when sidecarRunAsNonRoot is false" -}}
{{- end -}}
{{- if and .Values.sidecarRunAsNonRoot (hasKey .Values "sidecarRunAsUser") (le (int .Values.sidecarRunAsUser) 0) -}}
{{- fail "dapr_sidecar_injector.sidecarRunAsUser must be positive when sidecarRunAsNonRoot is true" -}}
{{- end -}}
{{- end -}}
