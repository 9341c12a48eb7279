{{/*
Name and port of the placement service, as sidecars are told.
*/}}
{{- define "address.placement" -}}
dapr-placement-server:50005
{{- end -}}

{{/*
Whether placement is part of this release: empty for no.
*/}}
{{- define "dapr.hasPlacement" -}}
{{- if and .Values.global.actors.enabled (eq .Values.global.actors.serviceName "placement") }}yes{{ end -}}
{{- end -}}
