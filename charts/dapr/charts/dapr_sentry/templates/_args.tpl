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
- "--oidc-server-listen-address=0.0.0.0"
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
