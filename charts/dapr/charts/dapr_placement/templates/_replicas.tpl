{{/*
All three replicas as --initial-cluster takes them: by the names that the headless Service gives its pods.
*/}}
{{- define "dapr_placement.replicas" -}}
{{- $replicas := list }}
{{- range $n := until 3 }}
{{- $pod := printf "dapr-placement-server-%d" $n }}
{{- $host := printf "%s.dapr-placement-server.%s.svc%s" $pod $.Release.Namespace (include "dapr.dnsSuffix" $) }}
{{- $replicas = append $replicas (printf "%s=%s:%v" $pod $host $.Values.ports.raftRPCPort) }}
{{- end }}
{{- join "," $replicas }}
{{- end }}
