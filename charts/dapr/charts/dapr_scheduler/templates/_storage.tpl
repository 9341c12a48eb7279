{{/*
Folder of the data volume.
*/}}
{{- define "dapr_scheduler.dataDir" -}}
{{- if eq .Values.global.daprControlPlaneOs "windows" }}{{ .Values.cluster.etcdDataDirWinPath }}{{ else }}{{ .Values.cluster.etcdDataDirPath }}{{ end -}}
{{- end -}}
