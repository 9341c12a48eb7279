{{/*
Arguments of the optional parts of sentry: other file names, JWTs, the OIDC server.
*/}}
{{- define "dapr_sentry.optionalArgs" -}}
{{- with .Values.global.issuerFilenames }}
- "--issuer-ca-filename"
- {{ .ca | quote }}
- "--issuer-certificate-filename"
- {{ .cert | quote }}
- "--issuer-key-filename"
- {{ .key | quote }}
{{- end }}
{{- with .Values.ca }}
{{- with .ttl }}
- "--ca-ttl={{ . }}"
{{- end }}
{{- with .issuerTTL }}
- "--issuer-ttl={{ . }}"
{{- end }}
{{- with .keyAlgorithm }}
- "--ca-key-algorithm={{ . }}"
{{- end }}
{{- end }}
{{- include "dapr_sentry.externalCAArgs" . }}
{{- if .Values.jwt.enabled }}
- "--jwt-enabled=true"
{{- with .Values.jwt.keyFilename }}
- "--jwt-key-filename={{ . }}"
{{- end }}
{{- with .Values.jwt.jwksFilename }}
- "--jwks-filename={{ . }}"
{{- end }}
{{- with .Values.jwt.issuer }}
- "--jwt-issuer={{ . }}"
{{- end }}
{{- with .Values.jwt.signingAlgorithm }}
- "--jwt-signing-algorithm={{ . }}"
{{- end }}
{{- with .Values.jwt.keyID }}
- "--jwt-key-id={{ . }}"
{{- end }}
{{- with .Values.jwt.ttl }}
- "--jwt-ttl={{ . }}"
{{- end }}
{{- end }}
{{- if .Values.oidc.enabled }}
- "--oidc-enabled=true"
- "--oidc-server-listen-address={{ if not (has "IPv6" .Values.global.ipFamilies) }}0.0.0.0{{ end }}"
{{- with .Values.oidc.jwksURI }}
- "--oidc-jwks-uri={{ . }}"
{{- end }}
{{- with .Values.oidc.pathPrefix }}
- "--oidc-path-prefix={{ . }}"
{{- end }}
{{- with .Values.oidc.allowedHosts }}
- "--oidc-allowed-hosts={{ join "," . }}"
{{- end }}
{{- with .Values.oidc.tls.certFile }}
- "--oidc-server-tls-cert-file={{ . }}"
{{- end }}
{{- with .Values.oidc.tls.keyFile }}
- "--oidc-server-tls-key-file={{ . }}"
{{- end }}
- "--oidc-server-tls-enabled={{ .Values.oidc.tls.enabled }}"
{{- end }}
{{- end -}}

{{/*
Arguments about the authority that signs the issuer certificate, if that is somebody else.
*/}}
{{- define "dapr_sentry.externalCAArgs" -}}
{{- with .Values.global.externalCA }}
{{- if .source }}
- "--ca-source={{ .source }}"
- "--ca-request-timeout={{ .requestTimeout }}"
{{- if eq .source "cert-manager" }}
- "--ca-cert-manager-issuer={{ required "global.externalCA.certManager.issuer is required with source cert-manager" .certManager.issuer }}"
- "--ca-cert-manager-issuer-kind={{ .certManager.kind }}"
- "--ca-cert-manager-issuer-group={{ .certManager.group }}"
{{- else if eq .source "certificate-signing-request" }}
- "--ca-signer-name={{ required "global.externalCA.signerName is required with source certificate-signing-request" .signerName }}"
{{- if not .roots.configMap }}
{{- fail "global.externalCA.roots.configMap is required with source certificate-signing-request: its answers have no root" }}
{{- end }}
{{- else }}
{{- fail (printf "global.externalCA.source must be cert-manager, certificate-signing-request or empty, not %s" .source) }}
{{- end }}
{{- if .roots.configMap }}
- "--ca-roots-file=/var/run/dapr/ca-roots/{{ .roots.key }}"
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
