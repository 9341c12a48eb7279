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

{{/*
What becomes of pods without sidecar: off, warn or repair. YAML takes a bare off for a boolean.
*/}}
{{- define "dapr_sidecar_injector.podsWithoutSidecar" -}}
{{- $mode := .Values.podsWithoutSidecar | toString -}}
{{- if eq $mode "false" -}}
{{- $mode = "off" -}}
{{- end -}}
{{- if not (has $mode (list "off" "warn" "repair")) -}}
{{- fail "dapr_sidecar_injector.podsWithoutSidecar must be off, warn or repair" -}}
{{- end -}}
{{- if lt (int .Values.repairsPerMinute) 1 -}}
{{- fail "dapr_sidecar_injector.repairsPerMinute must be at least 1" -}}
{{- end -}}
{{- $mode -}}
{{- end -}}
