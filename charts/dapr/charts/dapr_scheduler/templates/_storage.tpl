{{/*
Size of the data volumes. A StatefulSet's claim templates never change, so an existing release keeps the size it has.
*/}}
{{- define "dapr_scheduler.storageSize" -}}
{{- $size := .Values.cluster.storageSize -}}
{{- $existing := lookup "apps/v1" "StatefulSet" .Release.Namespace "dapr-scheduler-server" | default dict -}}
{{- range dig "spec" "volumeClaimTemplates" (list) $existing -}}
{{- if eq .metadata.name "dapr-scheduler-data-dir" -}}
{{- $size = .spec.resources.requests.storage -}}
{{- end -}}
{{- end -}}
{{- $size -}}
{{- end -}}

{{/*
Folder of the data volume.
*/}}
{{- define "dapr_scheduler.dataDir" -}}
{{- if eq .Values.global.daprControlPlaneOs "windows" }}{{ .Values.cluster.etcdDataDirWinPath }}{{ else }}{{ .Values.cluster.etcdDataDirPath }}{{ end -}}
{{- end -}}
