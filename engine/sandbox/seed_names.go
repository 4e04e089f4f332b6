package sandbox

// portuguese is what stages, categories, lists and options are called on a
// portal with the seed names=pt. Names that it lacks are the same there.
func portuguese() map[string]string {
	return map[string]string{
		"General": "Geral", "Renewals": "Renovações", "Clients": "Clientes", "Partners": "Parceiros", //nolint:misspell // Portuguese
		"New": "Novo", "In progress": "Em andamento", "Waiting": "Aguardando", "Won": "Ganho", "Lost": "Perdido",
		"Document preparation": "Preparação de documentos", "Prepayment invoice": "Fatura antecipada", "Final invoice": "Fatura final",
		"Deal won": "Negócio ganho", "Deal lost": "Negócio perdido", "Analysis of the loss": "Análise da perda",
		"Unassigned": "Não atribuído", "Processed": "Processado", "Good lead": "Lead bom", "Junk lead": "Lead ruim",
		"Sent to client": "Enviado ao cliente", "Accepted": "Aceito", "Declined": "Recusado", "Paid": "Pago", "Unpaid": "Não pago",

		"Call": "Chamada", "Web site": "Site", "Advertising": "Publicidade", "Existing client": "Cliente atual",
		"By recommendation": "Por indicação", "Exhibition": "Feira", "CRM form": "Formulário de CRM", "Form on a page": "Formulário de página",
		"Callback": "Retorno de chamada", "Other": "Outro", "Suppliers": "Fornecedores", "Client": "Cliente", "Supplier": "Fornecedor",
		"Competitor": "Concorrente", "Partner": "Parceiro", "Up to 50": "Até 50", "50 to 250": "50 a 250", "250 to 500": "250 a 500",
		"Over 500": "Mais de 500",

		"Information technology": "Tecnologia da informação", "Telecommunications": "Telecomunicações", "Manufacturing": "Indústria",
		"Banking services": "Serviços bancários", "Consulting": "Consultoria", "Finance": "Finanças", "Government": "Governo",
		"Delivery": "Entrega", "Entertainment": "Entretenimento", "Non-profit": "Sem fins lucrativos",

		"Sale": "Venda", "Complex sale": "Venda complexa", "Sale of goods": "Venda de produtos", "Sale of services": "Venda de serviços",
		"Maintenance": "Manutenção", "Low": "Baixa", "High": "Alta", "Phone": "Telefone", "Small": "Pequeno", "Medium": "Médio", "Large": "Grande",
	}
}
