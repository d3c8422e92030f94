//! The other ways to install the rules: the image with iptables' programs, under the kubelet, with the capabilities that
//! each of them needs, and traffic through what they made.

use anyhow::{Context, Result, ensure};
use tests::cluster::{Load, Namespace, Pod, Protocol, kubectl, seen, service, workload};

#[test]
fn iptables_programs_of_either_kind_install_the_rules_too() -> Result<()> {
    let carried = ["iptables-nft", "iptables-legacy"].into_iter().try_for_each(|backend| {
        use_backend(Some(backend)).and_then(|()| carries(backend)).with_context(|| backend.to_owned())
    });
    use_backend(None)?;
    carried
}

/// What the installation is told by its environment, as a user would tell it; `None` takes the default back.
fn use_backend(backend: Option<&str>) -> Result<()> {
    let chosen = std::env::var("BACKEND").ok();
    let variable = match backend.or(chosen.as_deref()) {
        Some(backend) => format!("{}={backend}", api::env::REDIRECT_BACKEND),
        None => format!("{}-", api::env::REDIRECT_BACKEND),
    };
    let deployment = format!("deployment/{}", api::control::INJECTOR);
    let in_control = |arguments: &[&str]| kubectl(&[&["-n", api::control::NAMESPACE], arguments].concat());
    let label = format!("{}={}", api::labels::APP_NAME, api::control::INJECTOR);
    let before = in_control(&["get", "pods", "-l", &label, "-o", "name"])?;
    in_control(&["set", "env", &deployment, &variable])?;
    in_control(&["rollout", "status", &deployment, "--timeout=120s"])?;
    // Former replicas still answer on connections that the API server has open, by what they were told.
    for pod in before.lines() {
        in_control(&["wait", "--for=delete", pod, "--timeout=60s"])?;
    }
    Ok(())
}

fn carries(backend: &str) -> Result<()> {
    let mesh = Namespace::meshed(backend)?;
    for app in ["client", "server"] {
        mesh.apply(&[
            workload(app, 1, None),
            service(&format!("{app}-v4"), app, false),
            service(&format!("{app}-v6"), app, true),
        ])?;
    }
    for app in ["client", "server"] {
        mesh.rolled_out(app)?;
    }
    let (client, server) = (mesh.pod("client")?, mesh.pod("server")?);
    installed_by(&mesh, &client, backend)?;
    for v6 in [false, true] {
        let host = format!("server-v{}", if v6 { 6 } else { 4 });
        // By another port, so that the connection which is counted is the only one of its kind.
        Load::one_connection(Protocol::Tcp, &host, v6).until_answered(&client, 2)?;
        Load::one_connection(Protocol::Http, &host, v6).run(&client)?.check(2)?;
        let address = server.address(v6, Protocol::Http.port())?.to_string();
        tests::cluster::eventually("both proxies' lines", std::time::Duration::from_secs(20), || {
            let lines = seen(&[&client, &server])?;
            let inbound = lines.get(&(server.name.clone(), "destination".to_owned(), address.clone()));
            let outbound = lines.keys().any(|(pod, reporter, _)| *pod == client.name && reporter == "source");
            // One for each request.
            Ok((inbound == Some(&2) && outbound).then_some(()))
        })?;
    }
    Ok(())
}

/// The init container ran from the other image, and says that this backend did it.
fn installed_by(mesh: &Namespace, pod: &Pod, backend: &str) -> Result<()> {
    let image = &pod.object["spec"]["initContainers"][0]["image"];
    ensure!(image == api::pod::INIT_IPTABLES_IMAGE, "{image}");
    let log = mesh.kubectl(&["logs", &pod.name, "-c", api::pod::INIT_CONTAINER])?;
    ensure!(log.contains(backend), "the init container does not say that it used {backend}:\n{log}");
    Ok(())
}
