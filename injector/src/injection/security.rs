//! What the sidecar's container may do.

use k8s_openapi::api::core::v1::{
    Capabilities, EnvVar, SeccompProfile, SecurityContext, WindowsSecurityContextOptions,
};
use trilby_sidecar_args::annotation;

use super::{Profile, SidecarDefaults, annotations::Annotations, environment, sidecar::Sidecar};

/// What Kubernetes knows of and what needs no file that the annotation cannot name.
const SECCOMP_TYPES: [&str; 2] = [RUNTIME_DEFAULT, UNCONFINED];
const RUNTIME_DEFAULT: &str = "RuntimeDefault";
const UNCONFINED: &str = "Unconfined";

/// The type of seccomp profile that the pod's author wants, as written.
pub(super) fn seccomp<'a>(annotations: &mut Annotations<'a>, profile: Profile) -> Option<&'a str> {
    let key = annotation::SIDECAR_SECCOMP_PROFILE_TYPE;
    let wanted = annotations.filled(key)?;
    if !SECCOMP_TYPES.contains(&wanted) {
        let reason = format_args!("Kubernetes refuses {wanted:?}: RuntimeDefault or Unconfined");
        annotations.warn(key, reason);
    }
    if profile == Profile::Hardened && wanted == UNCONFINED {
        annotations.warn(key, "a hardened sidecar has RuntimeDefault instead");
        return None;
    }
    Some(wanted)
}

pub(super) fn context(
    defaults: &SidecarDefaults,
    sidecar: &Sidecar<'_>,
    variables: &[EnvVar],
) -> SecurityContext {
    let context = SecurityContext {
        allow_privilege_escalation: Some(false),
        run_as_non_root: Some(defaults.run_as_non_root),
        run_as_user: defaults.run_as_user,
        run_as_group: defaults.run_as_group,
        read_only_root_filesystem: Some(defaults.read_only_root_filesystem),
        seccomp_profile: sidecar.seccomp_profile.map(seccomp_profile),
        capabilities: defaults.drop_all_capabilities.then(no_capabilities),
        ..SecurityContext::default()
    };
    match sidecar.profile {
        Profile::Hardened => hardened(context),
        Profile::Default if environment::installs_certificates(variables) => administrator(context),
        Profile::Default => context,
    }
}

/// The Pod Security Standard `restricted`, and a root filesystem that cannot be written.
fn hardened(context: SecurityContext) -> SecurityContext {
    SecurityContext {
        run_as_non_root: Some(true),
        run_as_user: context.run_as_user.filter(|user| *user != 0),
        read_only_root_filesystem: Some(true),
        capabilities: Some(no_capabilities()),
        seccomp_profile: context
            .seccomp_profile
            .or_else(|| Some(seccomp_profile(RUNTIME_DEFAULT))),
        ..context
    }
}

/// On Windows the sidecar must be an administrator to install certificates; settings that contradict that go. On Linux
/// the image's own user still applies.
fn administrator(context: SecurityContext) -> SecurityContext {
    SecurityContext {
        windows_options: Some(WindowsSecurityContextOptions {
            run_as_user_name: Some("ContainerAdministrator".to_owned()),
            ..WindowsSecurityContextOptions::default()
        }),
        run_as_non_root: Some(false),
        read_only_root_filesystem: Some(false),
        run_as_user: None,
        run_as_group: None,
        ..context
    }
}

fn seccomp_profile(profile: &str) -> SeccompProfile {
    SeccompProfile {
        type_: profile.to_owned(),
        ..SeccompProfile::default()
    }
}

fn no_capabilities() -> Capabilities {
    Capabilities {
        drop: Some(vec!["ALL".to_owned()]),
        ..Capabilities::default()
    }
}
