{{/*
The three peers.
*/}}
{{- define "dapr_scheduler.peers" -}}
{{- range $index := until 3 -}}
{{- if $index }},{{ end -}}
dapr-scheduler-server-{{ $index }}=https://dapr-scheduler-server-{{ $index }}.dapr-scheduler-server.{{ $.Release.Namespace }}.svc{{ include "dapr.dnsSuffix" $ }}:2380
{{- end -}}
{{- end -}}

{{- define "dapr_scheduler.etcdArgs" -}}
- "--etcd-client-port"
- "2379"
- "--etcd-data-dir={{ include "dapr_scheduler.dataDir" . }}/{{ .Release.Namespace }}/$(SCHEDULER_ID)"
- "--etcd-space-quota={{ .Values.etcdSpaceQuota }}"
- "--etcd-compaction-mode={{ .Values.etcdCompactionMode }}"
- "--etcd-compaction-retention={{ .Values.etcdCompactionRetention }}"
- "--etcd-snapshot-count={{ .Values.etcdSnapshotCount }}"
- "--etcd-max-snapshots={{ .Values.etcdMaxSnapshots }}"
- "--etcd-max-wals={{ .Values.etcdMaxWals }}"
- "--etcd-backend-batch-limit={{ .Values.etcdBackendBatchLimit }}"
- "--etcd-backend-batch-interval={{ .Values.etcdBackendBatchInterval }}"
- "--etcd-max-txn-ops={{ .Values.etcdMaxTxnOps }}"
- "--etcd-experimental-bootstrap-defrag-threshold-megabytes={{ .Values.etcdDefragThresholdMB }}"
- "--etcd-initial-election-tick-advance={{ .Values.etcdInitialElectionTickAdvance }}"
- "--etcd-metrics={{ .Values.etcdMetrics }}"
{{- end -}}
