{{/*
Name and port of the scheduler service, as sidecars are told.
*/}}
{{- define "address.scheduler" -}}
dapr-scheduler-server:50006
{{- end -}}

{{/*
Whether the scheduler is part of this release: empty for no. Trilby has no scheduler yet, so somebody has to name the
image of one in dapr_scheduler.image.name. The sub-charts see that name as `schedulerImage`.
*/}}
{{- define "dapr.hasScheduler" -}}
{{- if and .Values.global.scheduler.enabled .Values.schedulerImage }}yes{{ end -}}
{{- end -}}
